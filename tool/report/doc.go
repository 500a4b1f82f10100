package report

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/word/fault"
)

// Limits of one report.
const (
	maxReport = 2 << 30   // bytes
	maxRecord = 256 << 20 // bytes that one record, or all beside the records, may be in memory
	maxValue  = 32 << 20  // bytes of one text
	maxUTF16  = 256 << 20 // bytes of a report that must be turned into UTF-8 first
	maxDepth  = 200
)

type kind int

const (
	isJSON kind = iota + 1
	isXML
	isCSV
)

// doc is a report that is known to be whole. It can be read as often as one likes, a record at a time.
type doc struct {
	in        io.ReaderAt
	off, size int64
	kind      kind
	list      bool            // JSON: a list, or values one after the other
	roots     int             // JSON: values one after the other
	members   map[string]bool // JSON: members of the first object, or of the first in the list
	head      node            // the first object, or the first in the list, as far as it is small
	root      string          // XML: the name of the root
	attrs     node            // XML: its attributes
	columns   []string        // CSV
	comma     rune            // CSV
}

// look finds out what a report is, and that it is whole.
func look(in io.ReaderAt, size int64) (*doc, error) {
	if size > maxReport {
		return nil, fault.Limit.Errorf("it has %d bytes, more than %d", size, int64(maxReport))
	}
	d := &doc{in: in, size: size}
	if err := d.decode(); err != nil {
		return nil, err
	}
	start := make([]byte, min(64<<10, d.size-d.off))
	if _, err := d.in.ReadAt(start, d.off); err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	if bytes.IndexByte(start, 0) >= 0 {
		return nil, fault.Invalid.Errorf("this is no text: it holds NUL bytes")
	}
	text := bytes.TrimLeft(start, " \t\r\n")
	if len(text) == 0 {
		return nil, fault.Invalid.Errorf("it is empty: a tool that found nothing writes a report that says so")
	}
	switch {
	case text[0] == '{' || text[0] == '[':
		return d, d.lookJSON()
	case text[0] == '<':
		return d, d.lookXML()
	}
	if at := bytes.IndexByte(start, '\n'); at >= 0 && isAssignment(start[:at]) { // ScoutSuite's JavaScript
		d.off += int64(at) + 1
		return d, d.lookJSON()
	}
	return d, d.lookCSV(start)
}

func isAssignment(line []byte) bool {
	name, rest, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
	return ok && strings.TrimSpace(rest) == "" && name != "" && !strings.ContainsAny(name, ",;\"<{[")
}

// decode passes over a byte order mark, and turns UTF-16 into UTF-8.
func (d *doc) decode() error {
	head := make([]byte, 4)
	n, err := d.in.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return fmt.Errorf("reading it: %w", err)
	}
	head = head[:n]
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		d.off = 3
		return nil
	case bytes.HasPrefix(head, []byte("\xff\xfe\x00\x00")) || bytes.HasPrefix(head, []byte("\x00\x00\xfe\xff")):
		return fault.Unsupported.Errorf("it is in UTF-32: write it in UTF-8")
	case bytes.HasPrefix(head, []byte("\xff\xfe")), n == 4 && isASCII(head[0]) && head[1] == 0 && isASCII(head[2]) && head[3] == 0:
		order = binary.LittleEndian
	case bytes.HasPrefix(head, []byte("\xfe\xff")), n == 4 && head[0] == 0 && isASCII(head[1]) && head[2] == 0 && isASCII(head[3]):
		order = binary.BigEndian
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return fault.Unsupported.Errorf("it is compressed with gzip: unpack it first")
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return fault.Unsupported.Errorf("it is a zip archive: unpack it first")
	default:
		return nil
	}
	if d.size > maxUTF16 {
		return fault.Limit.Errorf("it is in UTF-16 and has more than %d bytes: write it in UTF-8", maxUTF16)
	}
	if d.size%2 != 0 {
		return fault.Invalid.Errorf("it is in UTF-16 and ends within a character")
	}
	text := make([]byte, d.size)
	if _, err := d.in.ReadAt(text, 0); err != nil && err != io.EOF {
		return fmt.Errorf("reading it: %w", err)
	}
	plain := fromUTF16(text, order)
	d.in, d.size = bytes.NewReader(plain), int64(len(plain))
	return nil
}

func isASCII(c byte) bool { return c >= ' ' && c < 0x7f || c == '\n' || c == '\r' || c == '\t' }

func fromUTF16(text []byte, order binary.ByteOrder) []byte {
	out := make([]byte, 0, len(text)/2+len(text)/8)
	for i := 0; i+1 < len(text); i += 2 {
		r := rune(order.Uint16(text[i:]))
		if utf16.IsSurrogate(r) {
			low := rune(0)
			if i+3 < len(text) {
				low = rune(order.Uint16(text[i+2:]))
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				i += 2
			}
		}
		if r == 0xfeff && len(out) == 0 {
			continue
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// open is the report from its start.
func (d *doc) open() io.Reader { return io.NewSectionReader(d.in, d.off, d.size-d.off) }

// bounded ends a reader that is asked for more than one value may hold since the last one began, or
// one token would be held in memory whatever its size.
type bounded struct {
	io.Reader
	read int64
	done func() int64 // how far what was read is dealt with
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.done != nil && b.read-b.done() > maxValue {
		return 0, fault.Limit.Errorf("one value is larger than %d bytes", maxValue)
	}
	n, err := b.Reader.Read(p)
	b.read += int64(n)
	return n, err
}

// wrong is what is wrong at a byte of the report.
func (d *doc) wrong(at int64, format string, a ...any) error {
	line, column := 1, at+1
	buf := make([]byte, 64<<10)
	for off := int64(0); off < at; {
		n, err := d.in.ReadAt(buf[:min(int64(len(buf)), at-off)], d.off+off)
		part := buf[:n]
		if c := bytes.Count(part, []byte("\n")); c > 0 {
			line += c
			column = at - (off + int64(bytes.LastIndexByte(part, '\n')))
		}
		off += int64(n)
		if err != nil || n == 0 {
			break
		}
	}
	err, kind := fmt.Errorf(format, a...), fault.Invalid
	if k := fault.Of(err); k != fault.Internal {
		kind = k
	}
	return kind.Errorf("line %d, column %d: %w", line, column, err)
}

func (d *doc) kindName() string {
	switch d.kind {
	case isJSON:
		return "JSON"
	case isXML:
		return "XML"
	}
	return "text or CSV"
}

// hint says what was seen of a report that no format is known for.
func (d *doc) hint() string {
	var names []string
	switch d.kind {
	case isJSON:
		names = node{d.head.v}.names()
		for m := range d.members {
			if len(names) == 0 {
				names = append(names, m)
			}
		}
	case isXML:
		return fmt.Sprintf("its root is %.60q", d.root)
	default:
		names = d.columns
	}
	return fmt.Sprintf("it begins with %.200q", strings.Join(names[:min(len(names), 8)], ", "))
}

// each hands over the parts of the report that a path leads to, with the parts
// above them by name or number. A step is a member, "*" for every element or
// member, or "[]" for one or many: every element of a list, or what stands there
// without one. Steps of XML are children's names below the root. CSV has rows and no path.
func (d *doc) each(path string, visit func(at []string, n node) error) error {
	var steps []string
	if path != "" {
		steps = strings.Split(path, "/")
	}
	switch d.kind {
	case isJSON:
		return d.eachJSON(steps, visit)
	case isXML:
		return d.eachXML(steps, visit)
	}
	return d.eachRow(visit)
}

// budget bounds what a part may take in memory.
type budget int

func (b *budget) spend(n int) error {
	if *b -= budget(n + 48); *b < 0 {
		return fault.Limit.Errorf("one record takes more than %d bytes", maxRecord)
	}
	return nil
}
