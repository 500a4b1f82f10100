package intake

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/record"
)

// A Batch is records of one file. ID is a request id: the same part of the same file has the same.
type Batch struct {
	ID      string
	File    string
	Records []record.Record
}

// What one batch of a file holds at least, before the next begins, and the largest
// file that is read at once, since it is one JSON value.
const (
	batchBytes = 4 << 20
	maxWhole   = 256 << 20
)

// Files reads log files, plain or gzip, and hands their records to each, batch by
// batch: those of a folder and all below it. What cannot be read is told with the
// reason, and costs only itself; an error of each ends it.
func Files(ctx context.Context, folder fs.FS, now time.Time, each func(Batch) error) (unread []diag.Place, err error) {
	err = fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			unread = append(unread, diag.Place{File: name, Why: err.Error()})
			return nil
		}
		if err := ctx.Err(); err != nil || !d.Type().IsRegular() {
			return err
		}
		f := fileReader{name: name, now: now, each: each}
		err = f.read(folder)
		var mine *handed
		if errors.As(err, &mine) {
			return mine.error
		}
		if err != nil {
			unread = append(unread, diag.Place{File: name, Why: err.Error()})
		}
		return nil
	})
	return unread, err
}

// handed is an error of the one who is handed the batches.
type handed struct{ error }

type fileReader struct {
	name  string
	now   time.Time
	each  func(Batch) error
	parts int
	raw   []byte // of this part
}

func (f *fileReader) read(folder fs.FS) error {
	file, err := folder.Open(f.name)
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, 64<<10)
	if head, _ := in.Peek(3); isGzip(head) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		in = bufio.NewReaderSize(z, 64<<10)
	}
	if whole, err := isWhole(in); err != nil {
		return err
	} else if whole {
		return f.readWhole(in)
	}
	return f.readLines(in)
}

// isWhole tells whether a file is one JSON value over many lines, or over one that is long.
func isWhole(in *bufio.Reader) (bool, error) {
	head, err := in.Peek(64 << 10)
	if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
		return false, err
	}
	if bytes.IndexByte(head, 0) >= 0 {
		return false, fault.Invalid.Errorf("this is no text")
	}
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	if len(head) == 0 || head[0] != '{' && head[0] != '[' {
		return false, nil
	}
	first, _, _ := bytes.Cut(head, []byte("\n"))
	first = bytes.TrimSpace(first)
	if bytes.HasPrefix(first, []byte(`{"Records"`)) || bytes.HasPrefix(first, []byte("[")) {
		return true, nil
	}
	return !jsontext.Value(first).IsValid(lenient...), nil
}

func (f *fileReader) readWhole(in io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(in, maxWhole+1))
	if err != nil {
		return err
	}
	if len(text) > maxWhole {
		return fault.Limit.Errorf("one JSON value of more than %d bytes", maxWhole)
	}
	u := f.unpacker()
	if err := u.add(text); err != nil {
		return err
	}
	f.raw = text
	for start := 0; start < len(u.records); {
		end, size := start, 0
		for end < len(u.records) && size < batchBytes {
			size += len(u.records[end].Text)
			end++
		}
		if err := f.hand(u.records[start:end]); err != nil {
			return err
		}
		start = end
	}
	return nil
}

func (f *fileReader) readLines(in *bufio.Reader) error {
	u := f.unpacker()
	size := 0
	for n := 1; ; n++ {
		line, err := readLine(in)
		if err != nil && err != io.EOF {
			return fmt.Errorf("line %d: %w", n, err)
		}
		f.raw, size = append(f.raw, line...), size+len(line)
		if lineErr := u.line(bytes.TrimRight(line, "\r\n")); lineErr != nil {
			return fmt.Errorf("line %d: %w", n, lineErr)
		}
		if size >= batchBytes || err == io.EOF {
			if handErr := f.hand(u.records); handErr != nil {
				return handErr
			}
			u.records, f.raw, size = nil, f.raw[:0], 0
		}
		if err == io.EOF {
			return nil
		}
	}
}

// readLine is the next line, refused where it is too long to be a record.
func readLine(in *bufio.Reader) (line []byte, err error) {
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxRecord+2:
			return nil, fault.Limit.Errorf("it is longer than %d bytes", maxRecord)
		case err != bufio.ErrBufferFull:
			return line, err
		}
	}
}

func (f *fileReader) unpacker() unpacker {
	return unpacker{now: f.now, fields: map[string]string{"file": f.name}, room: maxWhole}
}

func (f *fileReader) hand(records []record.Record) error {
	if len(records) == 0 {
		return nil
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %d\n", path.Base(f.name), f.parts)
	h.Write(f.raw)
	f.parts++
	if err := f.each(Batch{ID: "file " + hex.EncodeToString(h.Sum(nil)), File: f.name, Records: records}); err != nil {
		return &handed{err}
	}
	return nil
}
