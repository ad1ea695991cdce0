package testenv_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testenv"
)

// kinds are all that a server of is started for tests.
func kinds() []*testenv.Kind {
	return []*testenv.Kind{testenv.Redis, testenv.Postgres, testenv.NATS, testenv.Toxiproxy}
}

// childOf names the kind of server that a child process starts.
const childOf = "PRISM_TESTENV_CHILD"

// TestChildThatIsKilled is run by the test below, in a process of its own, which it does not leave alive.
func TestChildThatIsKilled(t *testing.T) {
	name := os.Getenv(childOf)
	for _, kind := range kinds() {
		if kind.Name == name {
			s := testenv.Start(t, kind)
			fmt.Printf("\nSTARTED %d %s %s\n", s.PID(), s.Address(), s.Folder)
			<-t.Context().Done()
		}
	}
	t.Skip("is run by TestServersEndWithATestThatIsKilled")
}

func TestServersEndWithATestThatIsKilled(t *testing.T) {
	t.Parallel()
	executable, err := os.Executable()
	require.NoError(t, err)
	for _, kind := range kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			command := exec.CommandContext(t.Context(), executable, "-test.run=^TestChildThatIsKilled$")
			command.Env = append(os.Environ(), childOf+"="+kind.Name)
			output, err := command.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, command.Start())
			var said strings.Builder
			var pid int
			var address, folder string
			for lines := bufio.NewScanner(output); folder == "" && lines.Scan(); {
				_, _ = fmt.Sscanf(lines.Text(), "STARTED %d %s %s", &pid, &address, &folder)
				said.WriteString(lines.Text() + "\n")
			}
			if folder == "" {
				_ = command.Wait()
				if os.Getenv("PRISM_SERVERS") == "" && strings.Contains(said.String(), "PASS") {
					t.Skipf("NOT TESTED: %s is not installed", kind.Name)
				}
				require.Fail(t, "the child started no server", said.String())
			}
			require.True(t, alive(t, pid))
			family := append(testenv.Children(pid), pid)

			require.NoError(t, command.Process.Kill())
			_ = command.Wait()
			for _, one := range family {
				require.Eventually(t, func() bool { return !alive(t, one) }, 20*time.Second, 10*time.Millisecond, "process %d of %s is left over", one, kind.Name)
			}
			// A process that counts as ended may have threads that still end, and hold its sockets.
			require.Eventually(t, func() bool {
				conn, err := net.Dial("tcp", address)
				if err == nil {
					_ = conn.Close()
				}
				return err != nil
			}, 20*time.Second, 10*time.Millisecond, "something still listens")

			// Its folder goes with the next server of its kind, and the folder of one that lives stays.
			require.DirExists(t, folder)
			first, err := testenv.New(t.Context(), kind)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, first.Close()) })
			second, err := testenv.New(t.Context(), kind)
			require.NoError(t, err)
			require.NoDirExists(t, folder)
			require.DirExists(t, first.Folder)
			require.NoError(t, second.Close())
			require.NoDirExists(t, second.Folder)
		})
	}
}

// alive tells whether a process runs. One that has ended and that nobody has waited for does not.
func alive(t *testing.T, pid int) bool {
	t.Helper()
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}

// told is a test that notes how it ended.
type told struct {
	testing.TB
	failed, skipped string
}

func (t *told) Fatalf(format string, args ...any) {
	t.failed = fmt.Sprintf(format, args...)
	panic(t)
}

func (t *told) Skipf(format string, args ...any) {
	t.skipped = fmt.Sprintf(format, args...)
	panic(t)
}

func TestAServerThatIsMissingSkipsOrFailsWhereItIsNamed(t *testing.T) {
	nothing := &testenv.Kind{Name: "nothing", Programs: []string{"no-such-program"}, Install: "write it first"}
	for servers, fails := range map[string]bool{"": false, "redis,nats": false, "all": true, "redis,nothing": true} {
		t.Setenv("PRISM_SERVERS", servers)
		for _, start := range []func(testing.TB){
			func(t testing.TB) { testenv.Start(t, nothing) },
			func(t testing.TB) { testenv.Shared(t, nothing) },
		} {
			got := &told{TB: t}
			func() {
				defer func() { require.Same(t, got, recover()) }()
				start(got)
			}()
			if fails {
				require.Equal(t, "PRISM_SERVERS asks for nothing: no-such-program is missing: write it first", got.failed)
			} else {
				require.Equal(t, "NOT TESTED on nothing: no-such-program is missing: write it first", got.skipped)
			}
		}
	}
}
