package build

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Remove takes a build's folder away, however deep it is: os.RemoveAll holds each
// folder open on its way down, and a build can make more than may be open.
func Remove(dir string) error {
	if err := flatten(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return os.RemoveAll(dir)
}

// flatten moves what lies deep up to the top.
func flatten(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	moved := 0
	todo := []string{"."}
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		entries, err := entriesOf(root, name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			next := path.Join(name, e.Name())
			if strings.Count(next, "/") == deepest {
				moved++
				up := fmt.Sprintf(".haechi-up-%d", moved)
				if err := root.Rename(next, up); err != nil {
					return err
				}
				next = up
			}
			todo = append(todo, next)
		}
	}
	return nil
}

// entriesOf are the folders in a folder; one that its owner has closed is opened.
func entriesOf(root *os.Root, name string) ([]fs.DirEntry, error) {
	dir, err := root.Open(name)
	if errors.Is(err, fs.ErrPermission) {
		if err := root.Chmod(name, 0o700); err != nil {
			return nil, err
		}
		dir, err = root.Open(name)
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if info, err := dir.Stat(); err == nil && info.Mode().Perm()&0o700 != 0o700 {
		_ = dir.Chmod(0o700) // what cannot be removed then, says so
	}
	var folders []fs.DirEntry
	for {
		some, err := dir.ReadDir(1000)
		for _, e := range some {
			if e.IsDir() {
				folders = append(folders, e)
			}
		}
		if errors.Is(err, io.EOF) || len(some) == 0 {
			return folders, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// secretsIn tells whether a text holds the value of a secret.
func secretsIn(text []byte, secrets []Variable) bool {
	for _, s := range secrets {
		if len(s.Value) >= shortestSecret && bytes.Contains(text, []byte(s.Value)) {
			return true
		}
	}
	return false
}
