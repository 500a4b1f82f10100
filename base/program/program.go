// Package program writes files that are to be run as soon as they are there.
package program

import (
	"os"
	"syscall"
)

// Write makes path a program whose content is text, with the rights that mode
// gives before the umask. Meanwhile this process starts no other: a process
// that is between fork and exec holds all of its parent's open files, and the
// kernel runs no file (ETXTBSY) that anybody holds open for writing.
func Write(path string, text []byte, mode os.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, text, mode)
}
