package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/word/fault"
)

// xmlReader reads XML a token at a time. Nothing outside it is ever fetched and no
// entity is ever replaced but the five that all XML has: a document type that
// declares one is refused; others (nmap, Nikto and Burp write them) are passed over.
type xmlReader struct {
	*xml.Decoder
	doc   *doc
	depth int
	began int64 // where the token that is being read begins
}

func (d *doc) xml() *xmlReader {
	x := &xmlReader{doc: d}
	dec := xml.NewDecoder(&bounded{Reader: d.open(), done: func() int64 { return x.began }})
	dec.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		switch strings.ToLower(charset) {
		case "utf-8", "utf8", "us-ascii", "ascii", "utf-16": // the last was turned into UTF-8 before
			return in, nil
		case "iso-8859-1", "latin1", "windows-1252":
			return &latin1{in: in, windows: strings.HasPrefix(strings.ToLower(charset), "windows")}, nil
		}
		return nil, fault.Unsupported.Errorf("its encoding %.40q is not read: write it in UTF-8", charset)
	}
	x.Decoder = dec
	return x
}

// latin1 turns ISO 8859-1 into UTF-8.
type latin1 struct {
	in      io.Reader
	windows bool // with Windows' signs where ISO has none
	rest    []byte
}

var windows1252 = [32]rune{'€', 0x81, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0x8d, 'Ž', 0x8f, 0x90, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0x9d, 'ž', 'Ÿ'}

func (l *latin1) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		buf := make([]byte, 4096)
		n, err := l.in.Read(buf)
		for _, c := range buf[:n] {
			r := rune(c)
			if l.windows && c >= 0x80 && c < 0xa0 {
				r = windows1252[c-0x80]
			}
			l.rest = utf8.AppendRune(l.rest, r)
		}
		if n == 0 {
			return 0, err
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// next is the next start, end or text.
func (x *xmlReader) next() (xml.Token, error) {
	for {
		x.began = x.InputOffset()
		t, err := x.Token()
		if err != nil {
			return nil, x.wrong(err)
		}
		switch t := t.(type) {
		case xml.Directive:
			if upper := bytes.ToUpper(t); bytes.Contains(upper, []byte("<!ENTITY")) {
				return nil, x.doc.wrong(x.InputOffset(), "its document type declares entities, which are not read")
			}
		case xml.StartElement:
			if x.depth++; x.depth > maxDepth {
				return nil, x.doc.wrong(x.InputOffset(), "%w", fault.Limit.Errorf("it is nested more than %d deep", maxDepth))
			}
			return t, nil
		case xml.EndElement:
			x.depth--
			return t, nil
		case xml.CharData:
			return t, nil
		}
	}
}

func (x *xmlReader) wrong(err error) error {
	var bad *xml.SyntaxError
	switch {
	case err == io.EOF && x.depth == 0:
		return err
	case err == io.EOF, errors.As(err, &bad) && strings.Contains(bad.Msg, "unexpected EOF"):
		return x.doc.wrong(x.doc.size-x.doc.off, "it ends in the middle: the report is torn")
	case errors.As(err, &bad):
		return x.doc.wrong(x.InputOffset(), "this is not XML: %s", bad.Msg)
	case fault.Of(err) != fault.Internal:
		return x.doc.wrong(x.InputOffset(), "%w", err)
	}
	return x.doc.wrong(x.InputOffset(), "this is not XML: %w", err)
}

// lookXML reads the report to its end, and what its root is.
func (d *doc) lookXML() error {
	d.kind = isXML
	d.skipComment()
	x := d.xml()
	for {
		t, err := x.next()
		if err == io.EOF {
			if d.root == "" {
				return d.wrong(d.size-d.off, "there is no element in it")
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if d.root == "" {
				d.root, d.attrs = t.Name.Local, node{attributes(t)}
			}
		case xml.CharData:
			if x.depth == 0 && len(bytes.TrimSpace(t)) > 0 {
				return d.wrong(x.InputOffset(), "there is text outside of the report's element")
			}
		}
	}
}

// skipComment passes over comments before the XML declaration, which some ZAP reports have.
func (d *doc) skipComment() {
	head := make([]byte, min(64<<10, d.size-d.off))
	n, _ := d.in.ReadAt(head, d.off)
	text, passed := head[:n], 0
	for {
		trimmed := bytes.TrimLeft(text, " \t\r\n")
		passed += len(text) - len(trimmed)
		end := bytes.Index(trimmed, []byte("-->"))
		if !bytes.HasPrefix(trimmed, []byte("<!--")) || end < 0 {
			break
		}
		text, passed = trimmed[end+3:], passed+end+3
	}
	d.off += int64(passed)
}

func attributes(t xml.StartElement) map[string]any {
	m := map[string]any{}
	for _, a := range t.Attr {
		m["@"+a.Name.Local] = strings.ToValidUTF8(a.Value, "\uFFFD")
	}
	return m
}

// eachXML walks the elements below the root. The names above one are its at, and
// "[]" and "*" stand for any element.
func (d *doc) eachXML(steps []string, visit func([]string, node) error) error {
	x := d.xml()
	var at []string
	for {
		t, err := x.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			at = append(at, t.Name.Local)
			if !leads(steps, at[1:]) {
				continue
			}
			room := budget(maxRecord)
			v, err := x.element(t, &room)
			if err != nil {
				return err
			}
			if err := visit(at[1:], node{v}); err != nil {
				return err
			}
			at = at[:len(at)-1]
		case xml.EndElement:
			at = at[:len(at)-1]
		}
	}
}

func leads(steps, at []string) bool {
	if len(steps) != len(at) {
		return false
	}
	for i, s := range steps {
		if s != at[i] && s != "*" && s != "[]" {
			return false
		}
	}
	return true
}

// element is what is between a start and its end: text alone where there is no more.
func (x *xmlReader) element(start xml.StartElement, room *budget) (any, error) {
	m := attributes(start)
	for name, v := range m {
		if err := room.spend(len(name) + len(v.(string))); err != nil {
			return nil, err
		}
	}
	var text strings.Builder
	for {
		t, err := x.next()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.CharData:
			if err := room.spend(len(t)); err != nil {
				return nil, err
			}
			text.Write(t)
		case xml.StartElement:
			child, err := x.element(t, room)
			if err != nil {
				return nil, err
			}
			if err := room.spend(len(t.Name.Local)); err != nil {
				return nil, err
			}
			switch was := m[t.Name.Local].(type) {
			case nil:
				m[t.Name.Local] = child
			case []any:
				m[t.Name.Local] = append(was, child)
			default:
				m[t.Name.Local] = []any{was, child}
			}
		case xml.EndElement:
			said := strings.ToValidUTF8(strings.TrimSpace(text.String()), "\uFFFD")
			if len(m) == 0 {
				return said, nil
			}
			if said != "" {
				m["#text"] = said
			}
			return m, nil
		}
	}
}
