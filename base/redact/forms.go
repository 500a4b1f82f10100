package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"net/url"
	"strings"
	"unicode/utf16"

	"github.com/go-json-experiment/json"
)

const (
	shortestForm = 5       // of an encoded secret: four characters of base64 are anybody's
	shortestLine = 8       // of a line of a secret, and of a member of one that is JSON
	large        = 4 << 10 // a larger secret is looked for in fewer forms: those of files, and of API's
)

// forms are the ways in which a secret is looked for, without line breaks. There is none of one that is too short.
func forms(value string) (all [][]byte) {
	f := gathered{}
	f.value(value)
	if len(f) == 0 {
		return nil
	}
	for _, part := range parts(value) {
		f.value(part)
	}
	for form := range f {
		all = append(all, []byte(form))
	}
	return all
}

type gathered map[string]bool

func (g gathered) add(shortest int, form string) {
	form = unbroken(form)
	if len(form) >= shortest {
		g[form] = true
	}
}

// unbroken is text as the automaton sees it, which steps over line breaks.
func unbroken(text string) string {
	return strings.NewReplacer("\n", "", "\r", "").Replace(text)
}

func (g gathered) value(v string) {
	v = strings.TrimSpace(v)
	if len(unbroken(v)) < Shortest {
		return
	}
	g.add(Shortest, v)
	// People pipe a value into base64 with and without the break at its end: what stands before and after does not matter.
	g.base64(v)
	lower := hex.EncodeToString([]byte(v))
	g.add(shortestForm, lower)
	g.add(shortestForm, strings.ToUpper(lower))
	quoted := inJSON(v, false)
	g.add(Shortest, quoted)
	if quoted != v {
		g.base64(quoted) // JSON in base64, such as Kubernetes keeps
	}
	if len(v) > large {
		g.add(shortestForm, url.QueryEscape(v))
		return
	}
	for _, between := range []string{":", " ", `\x`} {
		g.add(shortestForm, apart(lower, between))
		g.add(shortestForm, apart(strings.ToUpper(lower), between))
	}
	for _, escaped := range escapes(v, quoted) {
		g.add(shortestForm, escaped)
	}
}

// base64 adds the characters that a value decides alone, for each place in a
// group of three bytes at which it can begin.
func (g gathered) base64(v string) {
	for before := range 3 {
		padded := append(make([]byte, before, before+len(v)), v...)
		from, to := (before*8+5)/6, len(padded)*8/6
		if from >= to {
			continue
		}
		for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			g.add(shortestForm, alphabet.EncodeToString(padded)[from:to])
		}
	}
}

// apart is hexadecimal with something between the bytes.
func apart(digits, between string) string {
	var b strings.Builder
	for i := 0; i < len(digits); i += 2 {
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(digits[i : i+2])
	}
	return b.String()
}

// escapes are the ways in which programs write a value within something else.
func escapes(v, quoted string) []string {
	all := []string{
		strings.ReplaceAll(quoted, "/", `\/`), inJSON(v, true), upperEscapes(inJSON(v, true)),
		htmlInJSON(quoted), inJSON(quoted, false),
		strings.ReplaceAll(v, `'`, `'\''`), strings.ReplaceAll(v, `'`, `'"'"'`), inShell(v),
		html.EscapeString(v), inXML(v, "&quot;", "&apos;"), inXML(v, `"`, `'`), inXML(v, "&#34;", "&#39;"), inXML(v, "&quot;", "&#x27;"),
	}
	for _, kept := range []string{"-_.~", "-_.~$&+=:@", "-_.~!'()*", "-_.~!'()*;,/?:@&=+$#", "-_.*", "-_.~/", "-_.~!$&'()*+,;=:", ""} {
		escaped := percent(v, kept)
		all = append(all, escaped, lowerPercent(escaped), strings.ReplaceAll(escaped, "%20", "+"))
	}
	return append(all, url.QueryEscape(v), url.PathEscape(v), everyPercent(v))
}

// inJSON is a value within a JSON string; ascii escapes all else.
func inJSON(v string, ascii bool) string {
	var b strings.Builder
	for _, r := range v {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r < ' ' || ascii && r > '~' && r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		case ascii && r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// upperEscapes is text with the digits of its \u escapes in capitals.
func upperEscapes(text string) string {
	out := []byte(text)
	for i := 0; i+6 <= len(out); i++ {
		switch {
		case out[i] == '\\' && out[i+1] == 'u':
			copy(out[i+2:i+6], bytes.ToUpper(out[i+2:i+6]))
			i += 5
		case out[i] == '\\':
			i++
		}
	}
	return string(out)
}

func htmlInJSON(v string) string {
	return strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`).Replace(v)
}

func inXML(v, double, single string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, double, `'`, single).Replace(v)
}

// inShell is a value as within double quotes of a shell.
func inShell(v string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(v)
}

// percent escapes all but letters, digits and what is kept.
func percent(v, kept string) string {
	var b strings.Builder
	for i := range len(v) {
		c := v[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(kept, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func lowerPercent(text string) string {
	out := []byte(text)
	for i := 0; i+3 <= len(out); i++ {
		if out[i] == '%' {
			copy(out[i+1:i+3], bytes.ToLower(out[i+1:i+3]))
			i += 2
		}
	}
	return string(out)
}

func everyPercent(v string) string {
	return "%" + apart(strings.ToUpper(hex.EncodeToString([]byte(v))), "%")
}

// parts are secrets within a secret: the lines of one that has several, and the
// members of one that is JSON, but for those that say where a database is.
func parts(value string) (all []string) {
	lines := strings.Split(strings.TrimSpace(value), "\n")
	for _, line := range lines {
		if line = strings.TrimSpace(line); len(lines) > 1 && len(line) >= shortestLine && !strings.HasPrefix(line, "-----") {
			all = append(all, line)
		}
	}
	var members map[string]any
	if json.Unmarshal([]byte(value), &members) != nil {
		return all
	}
	for name, member := range members {
		if text, ok := member.(string); ok && len(text) >= shortestLine && !open(name) {
			all = append(all, text)
		}
	}
	return all
}

// open tells whether a member is of those in a database's secret that are no secret.
func open(name string) bool {
	switch strings.ToLower(name) {
	case "user", "username", "engine", "host", "hostname", "port", "dbname", "database", "dbinstanceidentifier", "dbclusteridentifier", "masterarn":
		return true
	}
	return false
}
