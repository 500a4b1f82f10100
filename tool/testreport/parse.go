package testreport

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/word/fault"
)

// format is one form of reports.
type format struct {
	name string
	read func(text []byte, into *reading) error
	is   func(s sight) bool
}

// sight is what the beginning of a report looks like.
type sight struct {
	root  xml.StartElement // of XML
	child string           // the first element in it
	text  []byte
}

// formats are all, in CodeBuild's words where it has one.
func formats() []format {
	root := func(names ...string) func(sight) bool {
		return func(s sight) bool {
			for _, n := range names {
				if s.root.Name.Local == n {
					return true
				}
			}
			return false
		}
	}
	begins := func(with ...string) func(sight) bool {
		return func(s sight) bool {
			for _, w := range with {
				if bytes.HasPrefix(s.text, []byte(w)) {
					return true
				}
			}
			return false
		}
	}
	return []format{
		{"JUNITXML", junit, root("testsuites", "testsuite")},
		{"NUNITXML", nunit2, root("test-results")},
		{"NUNIT3XML", nunit3, root("test-run")},
		{"TESTNGXML", testng, root("testng-results")},
		{"VISUALSTUDIOTRX", trx, root("TestRun")},
		{"CUCUMBERJSON", cucumber, begins("[")},
		{"GOTESTJSON", goTest, func(s sight) bool {
			line, _, _ := bytes.Cut(s.text, []byte("\n"))
			return bytes.HasPrefix(s.text, []byte("{")) && bytes.Contains(line, []byte(`"Action":`))
		}},
		{"JACOCOXML", jacoco, root("report")},
		{"CLOVERXML", clover, func(s sight) bool {
			return s.root.Name.Local == "coverage" && (s.child == "project" || attr(s.root, "clover") != "")
		}},
		{"COBERTURAXML", cobertura, root("coverage")},
		{"SIMPLECOV", simpleCov, begins("{")},
		{"GOCOVER", goCover, begins("mode: ")},
		{"LCOV", lcov, begins("TN:", "SF:")},
	}
}

// Parse reads a report of a format, in CodeBuild's words; "" is told by what it
// holds. An error is of kind fault.Invalid, or fault.Unsupported.
func Parse(text []byte, name string) (*Report, error) {
	text, err := plain(text)
	if err != nil {
		return nil, err
	}
	s := look(text)
	for _, f := range formats() {
		switch {
		case name == "" && f.is(s), f.name == strings.ToUpper(name):
		default:
			continue
		}
		if name != "" && f.name != "CLOVERXML" && f.name != "COBERTURAXML" && !f.is(s) {
			return nil, fault.Invalid.Errorf("it is not %s: it begins with %q", f.name, clip(firstWord(text), 40))
		}
		into := &reading{report: &Report{}}
		if err := f.read(text, into); err != nil {
			return nil, fault.Invalid.Errorf("it is torn, or not %s: %w", f.name, err)
		}
		return into.done(), nil
	}
	if name != "" {
		return nil, fault.Unsupported.Errorf("reports of the format %s are not read here", clip(name, 40))
	}
	return nil, fault.Invalid.Errorf("it is no report of tests or coverage that is known here: it begins with %q", clip(firstWord(text), 40))
}

func firstWord(text []byte) string { return string(text[:min(len(text), 40)]) }

// plain is UTF-8 without its mark; UTF-16 is turned into it.
func plain(text []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		text = text[3:]
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		text = utf16(text[2:], text[0] == 0xff)
	}
	text = bytes.TrimLeft(text, " \t\r\n")
	if len(text) == 0 {
		return nil, fault.Invalid.Errorf("it is empty")
	}
	return text, nil
}

func utf16(text []byte, little bool) []byte {
	var out []byte
	for i := 0; i+1 < len(text); i += 2 {
		a, b := text[i], text[i+1]
		if little {
			a, b = b, a
		}
		out = utf8.AppendRune(out, rune(a)<<8|rune(b)) // what lies beyond becomes U+FFFD twice
	}
	return out
}

// look looks at the beginning alone.
func look(text []byte) sight {
	s := sight{text: text}
	if text[0] != '<' {
		return s
	}
	d := decoder(text)
	for range 100 {
		t, err := d.Token()
		if err != nil {
			return s
		}
		if e, ok := t.(xml.StartElement); ok {
			if s.root.Name.Local != "" {
				s.child = e.Name.Local
				return s
			}
			s.root = e.Copy()
		}
	}
	return s
}

// decoder reads XML. It knows no entities but XML's own, and fetches nothing.
func decoder(text []byte) *xml.Decoder {
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = func(label string, input io.Reader) (io.Reader, error) {
		switch strings.ToLower(label) {
		case "utf-8", "us-ascii", "ascii", "utf-16": // UTF-16 is UTF-8 by now
			return input, nil
		case "iso-8859-1", "latin1", "windows-1252":
			return &latin{from: input}, nil
		}
		return nil, fault.Unsupported.Errorf("its encoding %q is not read here", clip(label, 40))
	}
	return d
}

// latin makes UTF-8 of ISO 8859-1.
type latin struct {
	from io.Reader
	left []byte
}

func (l *latin) Read(p []byte) (int, error) {
	if len(l.left) == 0 {
		b := make([]byte, 4096)
		n, err := l.from.Read(b)
		if n == 0 {
			return 0, err
		}
		for _, c := range b[:n] {
			l.left = utf8.AppendRune(l.left, rune(c))
		}
	}
	n := copy(p, l.left)
	l.left = l.left[n:]
	return n, nil
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

const (
	deepest  = 64
	mostText = 4 * mostMessage // bytes of the text of one element that are kept
)

var errDeep = errors.New("its elements lie too deep")

// walk goes through XML. path are the names of the elements around, and of the
// element itself; the text is what stands in it directly.
func walk(text []byte, start func(path []string, e xml.StartElement) error, end func(path []string, text string) error) error {
	d := decoder(text)
	var path []string
	var texts [][]byte
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			if len(path) > 0 {
				return io.ErrUnexpectedEOF
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if len(path) == deepest {
				return errDeep
			}
			path, texts = append(path, t.Name.Local), append(texts, nil)
			if err := start(path, t); err != nil {
				return err
			}
		case xml.EndElement:
			if len(path) == 0 || path[len(path)-1] != t.Name.Local {
				return errors.New("</" + clip(t.Name.Local, 40) + "> stands where it has not begun")
			}
			last := len(path) - 1
			if err := end(path, string(texts[last])); err != nil {
				return err
			}
			path, texts = path[:last], texts[:last]
		case xml.CharData:
			if n := len(texts); n > 0 && len(texts[n-1]) < mostText {
				texts[n-1] = append(texts[n-1], t[:min(len(t), mostText)]...)
			}
		}
	}
}

// reading is a report on its way.
type reading struct {
	report *Report
	files  map[string]*lines
	seen   int // lines and branches of all files
}

// add takes a case.
func (r *reading) add(c Case) {
	if len(r.report.Cases) == MostCases {
		r.report.Dropped++
		return
	}
	c.Suite, c.Name = clip(c.Suite, mostName), clip(c.Name, mostName)
	c.Message = clip(strings.TrimSpace(c.Message), mostMessage)
	if c.Duration < 0 || c.Duration > 1000*time.Hour {
		c.Duration = 0
	}
	if c.Name == "" {
		c.Name = "(no name)"
	}
	r.report.Cases = append(r.report.Cases, c)
}

// clip is the beginning of a text, in whole characters.
func clip(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	n := 0
	for i := range text {
		if n == most {
			return text[:i]
		}
		n++
	}
	return text
}

// said puts what an attribute says before what an element says, and neither twice.
func said(short, long string) string {
	short, long = strings.TrimSpace(short), strings.TrimSpace(long)
	if line, _, _ := strings.Cut(long, "\n"); short == "" || strings.Contains(line, short) || strings.HasPrefix(long, short) {
		return long
	}
	if long == "" {
		return short
	}
	return short + "\n" + long
}
