package secret

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// lexSecrets reads the values of all Kubernetes Secrets in YAML, line by line:
// such files are often templates that no YAML parser takes.
func lexSecrets(text []byte) []pair {
	if bytes.Count(text, []byte("\n")) > 200_000 {
		return nil // nobody writes such a manifest
	}
	lines := splitLines(text)
	var found []pair
	for i, l := range lines {
		key, rest, ok := l.key()
		if !ok || rest != "" || (key != "data" && key != "stringData") || !isSecretObject(lines, i) {
			continue
		}
		found = append(found, secretValues(lines[i+1:], l.indent, key == "data")...)
	}
	return found
}

// yamlLine is a line without its indentation; list markers count as indentation.
type yamlLine struct {
	start  int // of text
	indent int
	text   string
}

func splitLines(text []byte) []yamlLine {
	var lines []yamlLine
	for at := 0; at < len(text); {
		end := bytes.IndexByte(text[at:], '\n')
		if end < 0 {
			end = len(text) - at
		}
		line := string(bytes.TrimRight(text[at:at+end], " \t\r"))
		body := strings.TrimLeft(line, " ")
		for strings.HasPrefix(body, "- ") {
			body = strings.TrimLeft(body[2:], " ")
		}
		indent := len(line) - len(body)
		lines = append(lines, yamlLine{start: at + indent, indent: indent, text: body})
		at += end + 1
	}
	return lines
}

// key is `key: rest` of a line, without quotation marks and comment.
func (l yamlLine) key() (key, rest string, ok bool) {
	key, rest, ok = strings.Cut(l.text, ":")
	if !ok || strings.HasPrefix(key, "#") || rest != "" && rest[0] != ' ' {
		return "", "", false
	}
	return strings.Trim(key, "\"'"), strings.TrimSpace(rest), true
}

// isSecretObject looks for `kind: Secret` beside the line, within its object.
func isSecretObject(lines []yamlLine, at int) bool {
	const far = 400
	for _, step := range []int{-1, 1} {
		for i, n := at+step, 0; i >= 0 && i < len(lines) && n < far; i, n = i+step, n+1 {
			l := lines[i]
			if l.text == "" || strings.HasPrefix(l.text, "#") {
				continue
			}
			if strings.HasPrefix(l.text, "---") || l.indent < lines[at].indent {
				break
			}
			if key, rest, ok := l.key(); ok && l.indent == lines[at].indent && key == "kind" {
				return strings.EqualFold(strings.Trim(rest, "\"'"), "secret")
			}
		}
	}
	return false
}

func secretValues(lines []yamlLine, indent int, encoded bool) []pair {
	var found []pair
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		if l.text == "" || strings.HasPrefix(l.text, "#") {
			continue
		}
		if l.indent <= indent {
			break
		}
		key, rest, ok := l.key()
		if !ok {
			continue
		}
		p := pair{name: key, start: l.start + strings.Index(l.text, ":") + 1}
		p.end = l.start + len(l.text)
		if rest != "" && (rest[0] == '|' || rest[0] == '>') {
			var b strings.Builder
			for i+1 < len(lines) && (lines[i+1].text == "" || lines[i+1].indent > l.indent) {
				i++
				b.WriteString(lines[i].text + "\n")
				p.end = lines[i].start + len(lines[i].text)
			}
			rest = b.String()
		}
		p.value = strings.Trim(strings.TrimSpace(rest), "\"'")
		if encoded {
			raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(p.value), ""))
			if err != nil || !printable(raw) {
				continue
			}
			p.value = strings.TrimSpace(string(raw))
		}
		if isSecretValue(p) {
			found = append(found, p)
		}
	}
	return found
}

// isSecretValue: what stands in a Secret is one, unless it plainly is not.
func isSecretValue(p pair) bool {
	v := p.value
	switch {
	case len(v) < 8, isReference(v), isEncrypted(v), isDocumented(v), isEmail(v), weakWord(v):
		return false
	case isPlaceholder(v) && !strings.ContainsAny(v, "\n{"):
		return false
	case strings.Contains(v, "BEGIN PUBLIC") || strings.Contains(v, "BEGIN CERT"):
		return strings.Contains(v, "PRIVATE KEY")
	case strings.Contains(v, "://") && !strings.ContainsAny(v, "\n{"): // a URL with a password has a rule of its own
		return false
	case strings.HasPrefix(v, "-----BEGIN CERT"), strings.HasPrefix(v, "-----BEGIN PUBLIC"), strings.HasPrefix(v, "ssh-"), isDigits(v):
		return false
	}
	switch strings.ToLower(p.name) {
	case "username", "user", "host", "hostname", "port", "name", "namespace", "email", "type", "url", "ca.crt", "tls.crt", "region", "bucket", "endpoint", "database", "dbname":
		return false
	}
	return isUUID(v) || passwordLike(v) || strings.ContainsAny(v, "\n:{$") || !wordlike(v)
}
