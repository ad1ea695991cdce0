package testenv

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// inUse is the file in a server's folder that the process which made the folder has locked for as long as it lives.
const inUse = "in-use.lock"

// newFolder makes a temporary folder for a server, and removes those that were left over by processes that were killed.
func newFolder(kind string) (string, *os.File, error) {
	removeLeftovers(kind)
	folder, err := os.MkdirTemp("", "prism-"+kind+"-")
	if err != nil {
		return "", nil, err
	}
	// Under its own name the file is there only when it is locked: another process that found it before that would take the folder for a leftover.
	name := filepath.Join(folder, inUse)
	lock, err := os.OpenFile(name+".new", os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // it was just made
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(folder))
	}
	if err := errors.Join(lockFile(lock), os.Rename(name+".new", name)); err != nil {
		return "", nil, errors.Join(err, lock.Close(), os.RemoveAll(folder))
	}
	return folder, lock, nil
}

// removeLeftovers removes the folders whose lock nobody holds. It is no error when one cannot be removed: it may be another user's.
func removeLeftovers(kind string) {
	locks, _ := filepath.Glob(filepath.Join(os.TempDir(), "prism-"+kind+"-*", inUse))
	for _, name := range locks {
		lock, err := os.OpenFile(name, os.O_RDWR, 0) //nolint:gosec // it is a name of ours
		if err != nil {
			continue
		}
		if lockFile(lock) == nil {
			_ = os.RemoveAll(filepath.Dir(name))
		}
		_ = lock.Close()
	}
}

// lockFile locks a file, or fails at once when another has.
func lockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a descriptor is small
}
