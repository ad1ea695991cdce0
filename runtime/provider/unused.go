package provider

import "time"

const (
	// unusedTime is how long an instance stays open that no gateway uses, when gateways use another one of its name: theirs has another configuration now. One whose gateways are all away stays for them.
	unusedTime = 10 * time.Minute
	// unusedLook is the pause between two looks for such instances.
	unusedLook = time.Minute
)

// use notes that a gateway uses the instance.
func (i *instance) use() { i.used.Store(time.Now().UnixNano()) }

// unused tells since when no gateway has used the instance.
func (i *instance) unused() time.Duration {
	i.mu.Lock()
	streams := len(i.carriers)
	i.mu.Unlock()
	if streams > 0 || i.active.Load() > 0 {
		return 0
	}
	return time.Duration(time.Now().UnixNano() - i.used.Load())
}

// lookForUnused has unused instances looked for while there are several. The lock is held.
func (s *Server) lookForUnused() {
	if s.looking == nil && len(s.instances) > 1 && !s.closing {
		s.looking = time.AfterFunc(unusedLook, s.endUnused)
	}
}

// endUnused ends the instances that another one has taken the place of.
func (s *Server) endUnused() {
	var ending []*instance
	s.mu.Lock()
	s.looking = nil
	for _, i := range s.instances {
		if i.unused() < unusedTime || i.draining.Load() || !s.replaced(i) {
			continue
		}
		if s.byKey[i.key] == i {
			delete(s.byKey, i.key) // who comes for it now gets a new one
		}
		ending = append(ending, i)
	}
	s.lookForUnused()
	s.mu.Unlock()
	for _, i := range ending {
		i.log.Info("an instance is ended that no gateway uses any more, while they use one of its name that has another configuration")
		i.end(i.cutting, defaultDrain)
	}
}

// replaced tells whether gateways use another instance of the same name. The lock is held.
func (s *Server) replaced(former *instance) bool {
	for _, i := range s.instances {
		if i != former && i.key.name == former.key.name && i.key.backend == former.key.backend && i.unused() < unusedTime {
			return true
		}
	}
	return false
}
