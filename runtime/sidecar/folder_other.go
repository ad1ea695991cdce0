//go:build !linux

package sidecar

import "os"

// makeFolder makes a folder that only its owner can enter. What a gateway that was killed has left is left: the sidecar may live on there.
func makeFolder() (*folder, error) {
	path, err := os.MkdirTemp("", folderName)
	if err != nil {
		return nil, err
	}
	return &folder{path: path}, nil
}
