package scan

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"unicode/utf16"
)

var errHuge = errors.New("larger than a file may be")

// reader reads files into one buffer that grows with them.
type reader struct{ buffer []byte }

// head is how much of a file decides whether it is text.
const head = 8 << 10

// read is the whole file, or errHuge and only what its beginning looks like.
func (r *reader) read(tree fs.FS, name string, most int64) (File, error) {
	f, err := tree.Open(name)
	if err != nil {
		return File{Path: name}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return File{Path: name}, err
	}
	if !info.Mode().IsRegular() { // it was when it was listed
		return File{Path: name}, errors.New("not a regular file any more")
	}
	size := info.Size()
	if size > most {
		beginning := make([]byte, head)
		n, err := io.ReadFull(f, beginning)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return File{Path: name}, err
		}
		return File{Path: name, Binary: isBinary(beginning[:n])}, fmt.Errorf("%d bytes: %w", size, errHuge)
	}
	content, err := r.fill(f, size, most)
	if err != nil {
		return File{Path: name}, err
	}
	if text, ok := fromUTF16(content); ok {
		return File{Path: name, Content: text}, nil
	}
	return File{Path: name, Content: content, Binary: isBinary(content[:min(len(content), head)])}, nil
}

// fill reads what is there, which may be more or less than size by now.
func (r *reader) fill(f io.Reader, size, most int64) ([]byte, error) {
	const keep = 4 << 20 // a larger buffer is not kept for the next file
	b := r.buffer[:0]
	if int64(cap(b)) < size+1 {
		b = make([]byte, 0, max(size+1, 64<<10))
	}
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := f.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if int64(len(b)) > most {
			return nil, errHuge
		}
	}
	if cap(b) <= keep {
		r.buffer = b
	}
	return b, nil
}

func isBinary(beginning []byte) bool { return bytes.IndexByte(beginning, 0) >= 0 }

// hasMark tells of text in UTF-16 by its byte order mark.
func hasMark(beginning []byte) bool {
	return bytes.HasPrefix(beginning, []byte{0xff, 0xfe}) || bytes.HasPrefix(beginning, []byte{0xfe, 0xff})
}

// fromUTF16 is text that says by its byte order mark that it is UTF-16, as Windows' tools write it.
func fromUTF16(content []byte) ([]byte, bool) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(content, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(content, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return nil, false
	}
	units := make([]uint16, 0, len(content)/2)
	for i := 2; i+1 < len(content); i += 2 {
		units = append(units, order.Uint16(content[i:]))
	}
	text := []byte(string(utf16.Decode(units)))
	return text, !isBinary(text[:min(len(text), head)])
}
