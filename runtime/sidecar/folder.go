package sidecar

import "os"

// folderName begins the names of the folders of sidecars.
const folderName = "prism-sidecar-"

// folder is where a sidecar listens.
type folder struct {
	path string
	// lock tells that the folder is in use; it is nil where the system has none.
	lock *os.File
}

// remove removes the folder, once or more often.
func (f *folder) remove() error {
	err := os.RemoveAll(f.path)
	if f.lock != nil {
		_ = f.lock.Close() // nothing was written; a second time it is closed already
	}
	return err
}
