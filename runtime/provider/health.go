package provider

import (
	"context"
	"time"

	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	"github.com/prismgate/prism/runtime/fault"
)

// look looks after a link until it is lost: pings on its stream, and HealthCheck.
func (i *Instance) look(l *link) {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	checking := make(chan struct{}, 1)
	var checked time.Time
	for {
		select {
		case <-l.gone:
			return
		case <-l.ctx.Done():
			return
		case now := <-ticker.C:
			if l.mute() {
				l.lose(fault.New(fault.Unavailable, "the provider has sent nothing for %s, though it was asked", i.options.Silence))
				l.close() // nothing that is under way will be answered
				return
			}
			if now.Sub(checked) < healthInterval {
				continue
			}
			select {
			case checking <- struct{}{}:
				checked = now
				go func() {
					i.check(l)
					<-checking
				}()
			default: // the last one is not answered yet
			}
		}
	}
}

// check takes over how the provider says that the instance is.
func (i *Instance) check(l *link) {
	ctx, cancel := context.WithTimeout(l.ctx, healthTimeout)
	defer cancel()
	health, err := l.health(ctx)
	if i.link.Load() != l {
		return
	}
	if err != nil {
		// On a provider with streams pings tell whether it is there. An instance that it does not know is to be made again.
		if l.shared == nil || fault.CodeOf(err) == fault.FailedPrecondition {
			l.lose(err)
		}
		return
	}
	switch health.GetState() {
	case providerv1.HealthState_HEALTH_STATE_READY, providerv1.HealthState_HEALTH_STATE_DEGRADED:
		i.status.Ready()
	default:
		i.status.Unavailable(reasonOf(health))
	}
}

// reasonOf says why an instance is not ready.
func reasonOf(health *providerv1.HealthCheckResponse) string {
	if reason := health.GetReason(); reason != "" {
		return clipped(reason, 200)
	}
	switch health.GetState() {
	case providerv1.HealthState_HEALTH_STATE_STARTING:
		return "its provider is starting"
	case providerv1.HealthState_HEALTH_STATE_DRAINING:
		return "its provider is stopping"
	default:
		return "its provider says that it is not available"
	}
}
