package sigv4

import (
	"cmp"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// style is how a service has its paths signed.
type style struct {
	normal bool // dot segments and empty ones are removed
	encode bool // the raw path is percent-encoded once more
}

func styleOf(service string) style {
	if service == "s3" {
		return style{}
	}
	return style{normal: true, encode: true}
}

// target is the raw path and query of r, as they came over the wire or will go over it.
func target(r *http.Request) (path, query string) {
	if uri := r.RequestURI; strings.HasPrefix(uri, "/") {
		path, query, _ = strings.Cut(uri, "?")
		return path, query
	}
	return r.URL.EscapedPath(), r.URL.RawQuery
}

// appendCanonical appends the canonical request of AWS's documentation. late
// leaves the security token out of the query: it was added after signing.
func appendCanonical(b []byte, r *http.Request, s style, headers []string, list, payload string, late bool) []byte {
	path, query := target(r)
	b = append(b, r.Method...)
	b = append(b, '\n')
	b = appendPath(b, path, s)
	b = append(b, '\n')
	b = appendQuery(b, query, late)
	b = append(b, '\n')
	for _, name := range headers {
		b = append(b, name...)
		b = append(b, ':')
		b = appendHeader(b, r, name)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(b, list...)
	b = append(b, '\n')
	return append(b, payload...)
}

func appendPath(b []byte, path string, s style) []byte {
	if s.normal {
		path = normal(path)
	}
	if path == "" {
		return append(b, '/')
	}
	for i := range len(path) {
		c := path[i]
		switch {
		case c == '/' || unreserved(c):
			b = append(b, c)
		case !s.encode && c > ' ' && c < 0x7f:
			b = append(b, c) // sent as it was signed
		default:
			b = append(b, '%', upper[c>>4], upper[c&15])
		}
	}
	return b
}

// normal removes empty segments and dot segments, and keeps a slash at the end.
func normal(path string) string {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path
	}
	var kept []string
	directory := false
	for segment := range strings.SplitSeq(path, "/") {
		directory = segment == "" || segment == "." || segment == ".."
		switch segment {
		case "", ".":
		case "..":
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
		default:
			kept = append(kept, segment)
		}
	}
	if len(kept) == 0 {
		return "/"
	}
	clean := "/" + strings.Join(kept, "/")
	if directory {
		clean += "/"
	}
	return clean
}

type pair struct{ name, value string }

func appendQuery(b []byte, query string, late bool) []byte {
	if query == "" {
		return b
	}
	pairs := make([]pair, 0, 12)
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, value = recoded(name), recoded(value)
		if name == "X-Amz-Signature" || late && name == "X-Amz-Security-Token" {
			continue
		}
		pairs = append(pairs, pair{name, value})
	}
	slices.SortFunc(pairs, func(x, y pair) int {
		return cmp.Or(strings.Compare(x.name, y.name), strings.Compare(x.value, y.value))
	})
	for i, p := range pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, p.name...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	return b
}

// recoded decodes s and encodes it in the one way that is signed. A plus is a
// blank, as it is to whoever reads the query afterwards: a plus that was meant
// must come as %2B.
func recoded(s string) string {
	plain := true
	for i := range len(s) {
		if !unreserved(s[i]) {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(s):
			if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				c = byte(v)
				i += 2
			}
		}
		if unreserved(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', upper[c>>4], upper[c&15])
		}
	}
	return string(b)
}

func appendHeader(b []byte, r *http.Request, name string) []byte {
	if name == "host" {
		host := r.Host
		if host == "" {
			host = r.URL.Host
		}
		return appendTrimmed(b, host)
	}
	values := r.Header[textproto.CanonicalMIMEHeaderKey(name)]
	if len(values) == 0 && name == "content-length" && r.ContentLength >= 0 {
		return strconv.AppendInt(b, r.ContentLength, 10)
	}
	for i, value := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, value)
	}
	return b
}

// appendTrimmed appends value without blanks around it, and with inner runs of blanks as one.
func appendTrimmed(b []byte, value string) []byte {
	start, blank := len(b), false
	for i := range len(value) {
		switch c := value[i]; c {
		case ' ', '\t', '\r', '\n':
			blank = true
		default:
			if blank && len(b) > start {
				b = append(b, ' ')
			}
			blank = false
			b = append(b, c)
		}
	}
	return b
}

const upper = "0123456789ABCDEF"

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~'
}
