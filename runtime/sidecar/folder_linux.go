package sidecar

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// inUse is the file in a sidecar's folder that the gateway has locked for as long as it lives. It gets this name when it is locked: who finds it unlocked knows that the gateway is gone.
const inUse = "in-use.lock"

// makeFolder makes a folder that only its owner can enter, and removes those that were left over by gateways that were killed.
func makeFolder() (*folder, error) {
	removeLeftovers()
	path, err := os.MkdirTemp("", folderName)
	if err != nil {
		return nil, err
	}
	f := &folder{path: path}
	if err := f.hold(); err != nil {
		return nil, errors.Join(err, f.remove())
	}
	return f, nil
}

func (f *folder) hold() error {
	lock, err := os.CreateTemp(f.path, "lock-")
	if err != nil {
		return err
	}
	f.lock = lock
	if err := lockFile(lock); err != nil {
		return err
	}
	return os.Rename(lock.Name(), filepath.Join(f.path, inUse))
}

// removeLeftovers removes the folders of this user whose lock nobody holds. It is no error when one cannot be removed.
func removeLeftovers() {
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), folderName+"*")) // a pattern that is bad finds none
	for _, path := range folders {
		if !own(path) {
			continue // the temporary folder is everybody's
		}
		lock, err := os.OpenFile(filepath.Join(path, inUse), os.O_RDWR, 0) //nolint:gosec // nobody but this user can have made it
		if err != nil {
			continue
		}
		if lockFile(lock) == nil {
			_ = os.RemoveAll(path)
		}
		_ = lock.Close()
	}
}

// own tells whether a folder is this user's.
func own(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	of, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(of.Uid) == os.Geteuid()
}

// lockFile locks a file, or fails at once when another has.
func lockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a descriptor is small
}
