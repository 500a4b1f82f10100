//go:build !unix

package advisory

import "os"

// mapFile reads the file: there is no mapping here.
func mapFile(path string) (data []byte, unmap func() error, err error) {
	data, err = os.ReadFile(path)
	return data, func() error { return nil }, err
}
