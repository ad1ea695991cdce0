package plan

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

// effective are a namespace's own limits over those of the configuration, field by field.
func (m *maker) effective(own *configv1.NamespaceLimits) *configv1.NamespaceLimits {
	limits := new(configv1.NamespaceLimits)
	for _, over := range []*configv1.NamespaceLimits{m.config.GetNamespaceLimits(), own} {
		// proto.Merge would put the seconds of one duration to the nanoseconds of another.
		proto.Clone(over).ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
			limits.ProtoReflect().Set(field, value)
			return true
		})
	}
	return limits
}

// limits checks the limits of the configuration.
func (m *maker) limits(path string, limits *configv1.NamespaceLimits) {
	if limits == nil {
		return
	}
	m.violation(path, configv1.CheckNamespaceLimits(limits))
	m.crossLimits(path, limits, limits)
}

// namespaceLimits checks what a namespace says against what then holds, which in part the configuration says.
func (m *maker) namespaceLimits(path string, own, effective *configv1.NamespaceLimits) {
	if own != nil {
		m.crossLimits(path, own, effective)
	}
}

// crossLimits refuses limits that are without effect, or against each other. Each is a mistake of whoever has written a field of it.
func (m *maker) crossLimits(path string, own, effective *configv1.NamespaceLimits) {
	if own.GetBurst() > 0 && effective.GetCallsPerSecond() == 0 {
		m.refuse(path+".burst", "is without effect, since calls_per_second is not set; set calls_per_second, or leave burst out")
	}
	shortest, longest := effective.GetDefaultDeadline(), effective.GetMaxDeadline()
	if shortest == nil || longest == nil || shortest.AsDuration() <= longest.AsDuration() {
		return
	}
	switch {
	case own.GetDefaultDeadline() != nil:
		m.refuse(path+".default_deadline", "is %s, above max_deadline, which is %s; the default must not be above the maximum", shortest.AsDuration(), longest.AsDuration())
	case own.GetMaxDeadline() != nil:
		m.refuse(path+".max_deadline", "is %s, below default_deadline, which is %s; the default must not be above the maximum", longest.AsDuration(), shortest.AsDuration())
	}
}
