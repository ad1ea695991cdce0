package provider

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	"github.com/prismgate/prism/runtime/fault"
)

// TestAnInstanceThatIsReplacedEnds has gateways come and go, with one configuration and another.
func TestAnInstanceThatIsReplacedEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		open := func(name string, maxBytes uint64) string {
			request := initializeRequest(t, s)
			request.InstanceName = name
			var err error
			request.Config, err = anypb.New(&backendsv1.MemStore{MaxBytes: maxBytes})
			require.NoError(t, err)
			response, err := s.Initialize(t.Context(), request)
			require.NoError(t, err)
			return response.GetInstance()
		}
		requireOpen := func(want ...string) {
			t.Helper()
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			require.ElementsMatch(t, want, slices.Collect(maps.Keys(s.instances)))
		}
		check := func(handle string) error {
			_, err := s.HealthCheck(t.Context(), &providerv1.HealthCheckRequest{Instance: handle})
			return err
		}

		former, others := open("orders", 1<<20), open("sessions", 1<<20)
		next := open("orders", 2<<20)
		gateway := connect(t, s)
		gateway.send(openItem(next, true, 1<<20))
		time.Sleep(unusedTime - time.Second)
		requireOpen(former, others, next)
		time.Sleep(2 * unusedLook)
		requireOpen(others, next) // a stream is use; nobody has taken the place of the other's
		require.Equal(t, "INSTANCE_UNKNOWN", fault.ReasonOf(check(former)))

		again := open("orders", 1<<20)
		require.NotEqual(t, former, again)
		gateway.cancel()
		for range 11 {
			time.Sleep(unusedLook)
			require.NoError(t, check(again)) // as its gateway does
		}
		requireOpen(others, again)

		open("orders", 3<<20)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		require.Len(t, s.instances, 3, "what no gateway at all uses waits for its gateways")
	})
}
