// Package watch tells when files have changed.
//
// It watches the folders of the files and not the files, because editors and orchestrators replace files: by a rename, or, as Kubernetes does with its volumes, by
// pointing a symbolic link elsewhere. What a file holds decides: a file that was only touched has not changed.
//
// Where the system does not tell of changes (no inotify instance is left, a folder does not exist yet) the files are looked at every two seconds. A network file
// system tells of changes by this machine only; whoever keeps files on one tells the process by a signal.
package watch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is how long nothing must have happened before the files are looked at: who writes several files writes them together.
	quiet = 100 * time.Millisecond
	// patience is how long that may put off the look, in a folder where something happens all the time.
	patience = time.Second
	// interval is how often files are looked at whose folders cannot be watched.
	interval = 2 * time.Second
)

// Files calls a function whenever one of some files has changed, appeared or gone, until the context ends. A path may be a folder: then the files in it count, but not
// those of folders in it. The function is called on one goroutine, never twice at once; what changes meanwhile is told afterwards.
//
// What the files hold when Files is called is what they are compared with. So it is called before they are read: a change between the two is then told, and not lost.
func Files(ctx context.Context, paths []string, changed func()) error {
	notifier, err := fsnotify.NewWatcher()
	if err != nil {
		notifier = nil // there may be none left for this user; looking does as well
	}
	return start(ctx, paths, changed, notifier, interval)
}

// start watches with a notifier, or without one when it is nil; then it looks at an interval.
func start(ctx context.Context, paths []string, changed func(), notifier *fsnotify.Watcher, interval time.Duration) error {
	w := &watcher{changed: changed, notifier: notifier, interval: interval, watched: make(map[string]bool)}
	for _, path := range paths {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return errors.Join(err, w.close())
		}
		w.paths = append(w.paths, absolute)
	}
	w.watchFolders()
	w.seen = w.look()
	go w.run(ctx)
	return nil
}

type watcher struct {
	paths    []string
	changed  func()
	notifier *fsnotify.Watcher
	interval time.Duration
	// watched are the folders that are watched, and blind tells that one is not that should be.
	watched map[string]bool
	blind   bool
	seen    [sha256.Size]byte
}

func (w *watcher) run(ctx context.Context) {
	defer func() { _ = w.close() }()
	var events chan fsnotify.Event
	var failures chan error
	if w.notifier != nil {
		events, failures = w.notifier.Events, w.notifier.Errors
	}
	timer := time.NewTimer(w.interval)
	defer timer.Stop()
	if !w.blind {
		timer.Stop()
	}
	// restless is when the first event came that no look has followed; zero when there is none.
	var restless time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			if restless.IsZero() {
				restless = time.Now()
			}
			timer.Reset(min(quiet, max(0, time.Until(restless.Add(patience)))))
		case failure := <-failures:
			if failure != nil { // events were lost, so anything may have happened
				timer.Reset(quiet)
			}
		case <-timer.C:
			restless = time.Time{}
			w.watchFolders()
			if now := w.look(); now != w.seen {
				w.seen = now
				w.changed()
			}
			if w.blind {
				timer.Reset(w.interval)
			}
		}
	}
}

// watchFolders watches every folder in which something can happen that changes a file.
func (w *watcher) watchFolders() {
	if w.notifier == nil {
		w.blind = true
		return
	}
	wanted := make(map[string]bool)
	for _, path := range w.paths {
		foldersOf(path, wanted)
	}
	w.blind = false
	for folder := range wanted {
		// A folder that was replaced is another one by the same name, so it is asked for again and again; that is cheap.
		if err := w.notifier.Add(folder); err != nil {
			w.blind = true
		}
	}
	for folder := range w.watched {
		if !wanted[folder] {
			_ = w.notifier.Remove(folder) // it may be gone
		}
	}
	w.watched = wanted
}

// foldersOf adds the folder of a path, and those of what it leads to when it is a symbolic link, one after the other; and a path that is a folder itself.
func foldersOf(path string, folders map[string]bool) {
	const most = 40 // as many links as Linux follows
	for range most {
		folders[filepath.Dir(path)] = true
		info, err := os.Lstat(path)
		switch {
		case err != nil:
			return
		case info.IsDir():
			folders[path] = true
			return
		case info.Mode().Type() != fs.ModeSymlink:
			linksAbove(filepath.Dir(path), folders)
			return
		}
		target, err := os.Readlink(path)
		if err != nil {
			return
		}
		linksAbove(filepath.Dir(path), folders)
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
}

// linksAbove adds the folder of each symbolic link on the way to a folder: as in Kubernetes' volumes, where tls.crt leads to ..data/tls.crt, and ..data elsewhere.
func linksAbove(folder string, folders map[string]bool) {
	for parent := filepath.Dir(folder); parent != folder; folder, parent = parent, filepath.Dir(parent) {
		if info, err := os.Lstat(folder); err == nil && info.Mode().Type() == fs.ModeSymlink {
			folders[parent] = true
		}
	}
}

// look returns a digest of what the files hold.
func (w *watcher) look() [sha256.Size]byte {
	all := sha256.New()
	for _, path := range w.paths {
		entries, err := os.ReadDir(path)
		if err != nil { // it is no folder
			digest(all, path)
			continue
		}
		for _, entry := range entries {
			digest(all, filepath.Join(path, entry.Name()))
		}
	}
	return [sha256.Size]byte(all.Sum(nil))
}

// digest adds a file: its name, and what it holds, or why that cannot be read. What is no regular file has nothing that could be read to its end.
func digest(all io.Writer, path string) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return
	case err == nil && !info.Mode().IsRegular():
		_, _ = fmt.Fprintf(all, "%q is no file\n", path)
		return
	}
	content := sha256.New()
	file, err := os.Open(path)
	if err == nil {
		_, err = io.Copy(content, file)
		_ = file.Close() // it was only read
	}
	_, _ = fmt.Fprintf(all, "%q %x %v\n", path, content.Sum(nil), err) // a hash takes everything
}

func (w *watcher) close() error {
	if w.notifier == nil {
		return nil
	}
	return w.notifier.Close()
}
