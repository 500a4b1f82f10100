package history

import (
	"bytes"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// memory is the names of contents that were scanned and held nothing, for one
// version of the scanner. Names, not secrets: it tells nobody anything.
type memory struct {
	version string
	known   map[string]bool // names as bytes
	fresh   bool            // something was added
}

const mark = "haechi scanned 1 "

// largestMemory is how much of a file is believed: names of some ten million contents.
const largestMemory = 256 << 20

// remembered reads the memory. One that cannot be read, or is of another
// version, is as good as none.
func remembered(file, version string) *memory {
	m := &memory{version: version, known: map[string]bool{}}
	if file == "" {
		return m
	}
	f, err := os.Open(file)
	if err != nil {
		return m
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, largestMemory))
	if err != nil {
		return m
	}
	head, rest, ok := bytes.Cut(text, []byte("\n"))
	said, right := strings.CutPrefix(string(head), mark)
	if !ok || !right || said != version {
		return m
	}
	size := 20
	if len(rest) > 0 && rest[0] == 1 { // names of SHA-256
		size = 32
	}
	for rest = rest[min(1, len(rest)):]; len(rest) >= size; rest = rest[size:] {
		m.known[string(rest[:size])] = true
	}
	return m
}

func (m *memory) has(id string) bool {
	name, err := hex.DecodeString(id)
	return err == nil && m.known[string(name)]
}

func (m *memory) add(ids []string) {
	for _, id := range ids {
		if name, err := hex.DecodeString(id); err == nil && !m.known[string(name)] {
			m.known[string(name)] = true
			m.fresh = true
		}
	}
}

// save writes the memory beside itself and puts it in its place at once.
func (m *memory) save(file string) error {
	if file == "" || !m.fresh {
		return nil
	}
	names := make([]string, 0, len(m.known))
	for name := range m.known {
		names = append(names, name)
	}
	slices.Sort(names)
	var b bytes.Buffer
	b.WriteString(mark + m.version + "\n")
	if len(names) > 0 && len(names[0]) == 32 {
		b.WriteByte(1)
	} else {
		b.WriteByte(0)
	}
	for _, name := range names {
		b.WriteString(name)
	}
	temporary, err := os.CreateTemp(filepath.Dir(file), ".scanned-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(b.Bytes())
	if closed := temporary.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temporary.Name(), file)
	}
	if err != nil {
		os.Remove(temporary.Name())
	}
	return err
}
