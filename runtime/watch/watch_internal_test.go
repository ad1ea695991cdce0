package watch

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/stretchr/testify/require"
)

// patient is how long a test waits for what must happen, and brief for what must not.
const (
	patient = 20 * time.Second
	brief   = 4 * quiet
)

// watched counts changes.
type watched struct {
	folder  string
	changes chan struct{}
}

// watching watches paths below a folder of its own, with and without a notifier.
func watching(t *testing.T, prepare func(t *testing.T, folder string) []string, test func(t *testing.T, w *watched)) {
	t.Helper()
	for name, polls := range map[string]bool{"notified": false, "polling": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &watched{t.TempDir(), make(chan struct{}, 100)}
			paths := prepare(t, w.folder)
			changed := func() { w.changes <- struct{}{} }
			if polls {
				require.NoError(t, start(t.Context(), paths, changed, nil, quiet/4))
			} else {
				require.NoError(t, Files(t.Context(), paths, changed))
			}
			test(t, w)
		})
	}
}

func (w *watched) change(t *testing.T) {
	t.Helper()
	select {
	case <-w.changes:
	case <-time.After(patient):
		t.Fatal("no change was told")
	}
}

func (w *watched) noChange(t *testing.T) {
	t.Helper()
	select {
	case <-w.changes:
		t.Fatal("a change was told")
	case <-time.After(brief):
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

// place puts a file with its content where it is to be, in one step: one that is written there can be seen before it is whole.
func place(t *testing.T, path, content string) {
	t.Helper()
	elsewhere := filepath.Join(t.TempDir(), "file")
	write(t, elsewhere, content)
	require.NoError(t, os.Rename(elsewhere, path))
}

// one is a folder with a file.
func one(t *testing.T, folder string) []string {
	t.Helper()
	path := filepath.Join(folder, "file")
	write(t, path, "before")
	return []string{path}
}

func TestAFileThatIsWrittenHasChanged(t *testing.T) {
	t.Parallel()
	watching(t, one, func(t *testing.T, w *watched) {
		for i := range 3 {
			write(t, filepath.Join(w.folder, "file"), strconv.Itoa(i))
			w.change(t)
		}
	})
}

func TestAFileThatIsReplacedHasChanged(t *testing.T) {
	t.Parallel()
	watching(t, one, func(t *testing.T, w *watched) {
		for i := range 3 {
			write(t, filepath.Join(w.folder, "new"), strconv.Itoa(i))
			require.NoError(t, os.Rename(filepath.Join(w.folder, "new"), filepath.Join(w.folder, "file")))
			w.change(t)
		}
	})
}

func TestAFileThatGoesAndComesHasChanged(t *testing.T) {
	t.Parallel()
	watching(t, one, func(t *testing.T, w *watched) {
		require.NoError(t, os.Remove(filepath.Join(w.folder, "file")))
		w.change(t)
		write(t, filepath.Join(w.folder, "file"), "after")
		w.change(t)
	})
}

func TestATouchIsNoChange(t *testing.T) {
	t.Parallel()
	watching(t, one, func(t *testing.T, w *watched) {
		path := filepath.Join(w.folder, "file")
		require.NoError(t, os.Chtimes(path, time.Now(), time.Now().Add(time.Hour)))
		write(t, filepath.Join(w.folder, "another"), "before")
		require.NoError(t, os.Rename(filepath.Join(w.folder, "another"), path))
		w.noChange(t)
		write(t, path, "after") // it does work
		w.change(t)
	})
}

// A Kubernetes volume: tls.crt leads to ..data/tls.crt, and ..data to a folder that is replaced as a whole.
func TestALinkThatLeadsElsewhereIsAChange(t *testing.T) {
	t.Parallel()
	volume := func(t *testing.T, folder string, version string) {
		t.Helper()
		target := filepath.Join(folder, "..version-"+version)
		require.NoError(t, os.Mkdir(target, 0o700))
		write(t, filepath.Join(target, "tls.crt"), version)
		require.NoError(t, os.Symlink(filepath.Base(target), filepath.Join(folder, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(folder, "..data_tmp"), filepath.Join(folder, "..data")))
	}
	prepare := func(t *testing.T, folder string) []string {
		volume(t, folder, "0")
		require.NoError(t, os.Symlink(filepath.Join("..data", "tls.crt"), filepath.Join(folder, "tls.crt")))
		return []string{filepath.Join(folder, "tls.crt")}
	}
	watching(t, prepare, func(t *testing.T, w *watched) {
		for i := range 3 {
			volume(t, w.folder, strconv.Itoa(i+1))
			w.change(t)
			require.NoError(t, os.RemoveAll(filepath.Join(w.folder, "..version-"+strconv.Itoa(i))))
		}
		w.noChange(t)
	})
}

func TestTheFolderBehindALinkIsWatched(t *testing.T) {
	t.Parallel()
	prepare := func(t *testing.T, folder string) []string {
		require.NoError(t, os.Mkdir(filepath.Join(folder, "real"), 0o700))
		require.NoError(t, os.Symlink(filepath.Join(folder, "real"), filepath.Join(folder, "link")))
		write(t, filepath.Join(folder, "real", "a"), "before")
		require.NoError(t, os.Symlink("a", filepath.Join(folder, "real", "b")))
		require.NoError(t, os.Symlink(filepath.Join("link", "b"), filepath.Join(folder, "c")))
		return []string{filepath.Join(folder, "c")}
	}
	watching(t, prepare, func(t *testing.T, w *watched) {
		write(t, filepath.Join(w.folder, "real", "a"), "after")
		w.change(t)
	})
}

func TestALinkOnTheWayIsWatched(t *testing.T) {
	t.Parallel()
	release := func(t *testing.T, folder, version string) {
		t.Helper()
		require.NoError(t, os.Mkdir(filepath.Join(folder, version), 0o700))
		write(t, filepath.Join(folder, version, "file"), version)
		require.NoError(t, os.Symlink(version, filepath.Join(folder, "next")))
		require.NoError(t, os.Rename(filepath.Join(folder, "next"), filepath.Join(folder, "current")))
	}
	prepare := func(t *testing.T, folder string) []string {
		release(t, folder, "0")
		return []string{filepath.Join(folder, "current", "file")}
	}
	watching(t, prepare, func(t *testing.T, w *watched) {
		release(t, w.folder, "1")
		w.change(t)
		write(t, filepath.Join(w.folder, "1", "file"), "written where the link leads now")
		w.change(t)
	})
}

func TestAFileInAFolderCounts(t *testing.T) {
	t.Parallel()
	whole := func(t *testing.T, folder string) []string {
		one(t, folder)
		return []string{folder}
	}
	watching(t, whole, func(t *testing.T, w *watched) {
		place(t, filepath.Join(w.folder, "added"), "new")
		w.change(t)
		place(t, filepath.Join(w.folder, "file"), "after")
		w.change(t)
		require.NoError(t, os.Remove(filepath.Join(w.folder, "added")))
		w.change(t)
		require.NoError(t, os.Mkdir(filepath.Join(w.folder, "folder"), 0o700))
		w.noChange(t)
	})
}

func TestAFolderThatDoesNotExistYetIsLookedAt(t *testing.T) {
	t.Parallel()
	later := func(_ *testing.T, folder string) []string { return []string{filepath.Join(folder, "later", "file")} }
	watching(t, later, func(t *testing.T, w *watched) {
		require.NoError(t, os.Mkdir(filepath.Join(w.folder, "later"), 0o700))
		write(t, filepath.Join(w.folder, "later", "file"), "new")
		w.change(t)
		require.NoError(t, os.RemoveAll(filepath.Join(w.folder, "later")))
		w.change(t)
	})
}

func TestWhatHappensAllTheTimeDoesNotPutOffALook(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	paths := one(t, folder)
	w := &watched{folder, make(chan struct{}, 100)}
	require.NoError(t, Files(t.Context(), paths, func() { w.changes <- struct{}{} }))
	ctx, cancel := context.WithCancel(t.Context())
	noise := make(chan struct{})
	go func() {
		defer close(noise)
		ticker := time.NewTicker(quiet / 10)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				_ = os.WriteFile(filepath.Join(folder, "noise"), nil, 0o600)
			}
		}
	}()
	write(t, paths[0], "after")
	w.change(t)
	cancel()
	<-noise
}

func TestNothingIsToldAfterTheEnd(t *testing.T) {
	t.Parallel()
	paths := one(t, t.TempDir())
	notifier, err := fsnotify.NewWatcher()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	changes := make(chan struct{}, 1)
	require.NoError(t, start(ctx, paths, func() { changes <- struct{}{} }, notifier, interval))
	cancel()
	require.Eventually(t, func() bool { return notifier.Add(paths[0]) != nil }, patient, time.Millisecond, "the notifier is still open")
	write(t, paths[0], "after")
	select {
	case <-changes:
		t.Fatal("a change was told")
	case <-time.After(brief):
	}
}
