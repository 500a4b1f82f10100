package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/redact"
)

const password = `h7$"Kd/ö+<x>&'q\ 9` // with everything that somebody escapes

func set(t testing.TB, values ...string) *redact.Set {
	t.Helper()
	var all []redact.Value
	for i, v := range values {
		all = append(all, redact.Value{Name: fmt.Sprint("secret", i), Text: v})
	}
	s, short := redact.New(all...)
	if short != nil {
		t.Fatal("too short:", short)
	}
	return s
}

// A secret is masked however programs write it, and what stands around it stays.
func TestForms(t *testing.T) {
	s := set(t, password)
	quoted, err := json.Marshal(password)
	if err != nil {
		t.Fatal(err)
	}
	inJSON := string(quoted[1 : len(quoted)-1])
	for name, text := range map[string]string{
		"raw":           password,
		"json":          inJSON,
		"json in ASCII": strings.ReplaceAll(inJSON, "ö", `\u00f6`),
		"JSON in ASCII": strings.ReplaceAll(inJSON, "ö", `\u00F6`),
		"json for HTML": strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`).Replace(inJSON),
		"query":         url.QueryEscape(password),
		"path":          url.PathEscape(password),
		"component":     strings.NewReplacer("+", "%20", "%27", "'").Replace(url.QueryEscape(password)),
		"hex":           hex.EncodeToString([]byte(password)),
		"HEX":           strings.ToUpper(hex.EncodeToString([]byte(password))),
		"shell":         strings.ReplaceAll(password, "'", `'\''`),
		"double quotes": strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`).Replace(password),
		"xml":           strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(password),
	} {
		if got := s.String("<" + text + ">\n"); got != "<***>\n" {
			t.Errorf("%s: %s is %s", name, text, got)
		}
	}
}

// Base64 of a text that holds a secret shows nothing of the secret, at whichever place it stands, and with either alphabet.
func TestBase64(t *testing.T) {
	s := set(t, "correct horse battery")
	for before := range 7 {
		text := strings.Repeat("u", before) + "correct horse battery" + ":staple"
		for _, alphabet := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding} {
			encoded := alphabet.EncodeToString([]byte(text))
			got := s.String(encoded)
			if !strings.Contains(got, "***") || len(got) > len(encoded)-20 {
				t.Errorf("%d before: %s is %s", before, encoded, got)
			}
		}
	}
}

// A secret is found across line breaks of any width, and each line of it is masked.
func TestFolded(t *testing.T) {
	secret := strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz;", 6)
	s := set(t, secret)
	for _, width := range []int{5, 10, 60, 64, 76} {
		for name, text := range map[string]string{"raw": secret, "base64": base64.StdEncoding.EncodeToString([]byte(secret)), "hex": hex.EncodeToString([]byte(secret))} {
			for _, br := range []string{"\n", "\r\n"} {
				var lines []string
				for part := range slices.Chunk([]byte(text), width) {
					lines = append(lines, string(part))
				}
				got := s.String(strings.Join(lines, br))
				want := strings.Repeat("***"+br, len(lines)-1)
				if !strings.HasPrefix(got, want) || len(got) > len(want)+6 {
					t.Errorf("%s, %d wide: %q", name, width, got)
				}
			}
		}
	}
}

// A key that was kept in lines is found in one line, and line by line.
func TestLines(t *testing.T) {
	s := set(t, "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA1\nc3RhcGxlIGJhdHRlcnk\n-----END KEY-----\n")
	for text, want := range map[string]string{
		"-----BEGIN KEY-----\r\nMIIEpAIBAAKCAQEA1\r\nc3RhcGxlIGJhdHRlcnk\r\n-----END KEY-----\r\nnext": "***\r\n***\r\n***\r\n***\r\nnext",
		`"-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA1\nc3RhcGxlIGJhdHRlcnk\n-----END KEY-----"`:             `"***"`,
		"  c3RhcGxlIGJhdHRlcnk  ":     "  ***  ",
		"-----BEGIN KEY-----\nothers": "-----BEGIN KEY-----\nothers",
	} {
		if got := s.String(text); got != want {
			t.Errorf("%q is %q, not %q", text, got, want)
		}
	}
}

// Of a secret that is JSON every member is masked, but for those that say where a database is.
func TestMembers(t *testing.T) {
	s := set(t, `{"username":"administrator","password":"tr0ub4dor&3","host":"db.shop.example"}`)
	if got, want := s.String("administrator@db.shop.example tr0ub4dor&3"), "administrator@db.shop.example ***"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

// What is too short to be masked is named, and masks nothing.
func TestShort(t *testing.T) {
	s, short := redact.New(redact.Value{Name: "pin", Text: "123"}, redact.Value{Name: "padded", Text: " abc\n"})
	if fmt.Sprint(short) != "[pin padded]" {
		t.Error(short)
	}
	if got := s.String("123 abc"); got != "123 abc" {
		t.Error(got)
	}
}

// Secrets that overlap are masked as one, and those side by side too.
func TestOverlap(t *testing.T) {
	s := set(t, "abcdefgh", "efghijkl", "fghi", "kkkk")
	for text, want := range map[string]string{
		"-abcdefghijkl-":       "-***-",
		"-abcdefghi-":          "-***-",
		"-abcdefgh-efghijkl-":  "-***-***-",
		"-kkkkkkkkkk-":         "-***-",
		"-abcdefgabcdefghijkx": "-abcdefg***jkx",
	} {
		if got := s.String(text); got != want {
			t.Errorf("%q is %q, not %q", text, got, want)
		}
	}
}

// A line is handed on when it is written, unless its end may be the beginning of a secret; then with what follows, or when it is flushed.
func TestHeld(t *testing.T) {
	s := set(t, "Zebra crossing")
	var out bytes.Buffer
	w := s.Writer(&out)
	write := func(text, want string) {
		t.Helper()
		if n, err := io.WriteString(w, text); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
		if got := out.String(); got != want {
			t.Errorf("after %q: %q, not %q", text, got, want)
		}
		out.Reset()
	}
	write("compiling\n", "compiling\n")
	write("a prompt: ", "a prompt: ")
	write("a zoo, Ze\n", "a zoo, Ze\n")
	write("bra crossing\n", "***\n") // of a secret folded there no more is shown
	write("one Zebra", "one ")
	write("\n", "")
	write("s\n", "Zebra\ns\n")
	write("Zeb", "")
	write("ra cros", "")
	write("sing!", "***!")
	write("Zebra", "")
	if err := w.Flush(); err != nil || out.String() != "Zebra" {
		t.Error(err, out.String())
	}
	out.Reset()
	write(" crossing.", "***.") // what was shown cannot be taken back, but the rest is not shown
	if w.Masked() != 3 {
		t.Error(w.Masked())
	}
}

// plain masks as simply as can be: letters of text that are part of a secret.
func plain(text []byte, secrets []string) string {
	var letters []byte
	var at []int
	for i, c := range text {
		if c != '\n' && c != '\r' {
			letters, at = append(letters, c), append(at, i)
		}
	}
	hidden := make([]bool, len(text))
	for _, s := range secrets {
		for i := 0; i+len(s) <= len(letters); i++ {
			if string(letters[i:i+len(s)]) == s {
				for j := i; j < i+len(s); j++ {
					hidden[at[j]] = true
				}
			}
		}
	}
	var out strings.Builder
	for i := range text {
		switch {
		case !hidden[i]:
			out.WriteByte(text[i])
		case i == 0 || !hidden[i-1]:
			out.WriteString(redact.Mask)
		}
	}
	return out.String()
}

// However a text is cut into writes, what comes out is what a simple masker makes of it as a whole.
func FuzzWriter(f *testing.F) {
	f.Add("abcd", "cdefg", []byte("xabcdefgab\ncd\r\nefg"), uint64(1))
	f.Add("abcd", "cdefg", []byte("xabcdefgab\ncd\r\nefg"), uint64(17))
	f.Add("aaaa", "aaaab", []byte("aaaaaaaaaaabaaa\naab"), uint64(2))
	f.Add("secret", "ecre", []byte("s\ne\nc\nr\ne\nt secre"), uint64(3))
	f.Fuzz(func(t *testing.T, one, two string, text []byte, seed uint64) {
		if len(one) > 64 || len(two) > 64 || len(text) > 4096 {
			t.Skip()
		}
		s, _ := redact.New(redact.Value{Text: one}, redact.Value{Text: two})
		whole := string(s.Bytes(text))
		var out bytes.Buffer
		w := s.Writer(&out)
		for random, rest := rand.New(rand.NewPCG(seed, 0)), text; len(rest) > 0; {
			n := 1 + random.IntN(min(len(rest), 9))
			for n < len(rest) && rest[n-1] == '\n' { // where a line ends a few letters may be shown
				n++
			}
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if out.String() != whole {
			t.Errorf("in pieces %q, whole %q", out.String(), whole)
		}
		// With nothing but the secrets as they are, the result is known exactly.
		raw := redact.Only(one, two)
		if got, want := string(raw.Bytes(text)), plain(text, redact.Unbroken(one, two)); got != want {
			t.Errorf("%q is %q, not %q", text, got, want)
		}
	})
}

// No secret survives, in whatever form it is written and however that is folded and cut.
func FuzzNoneSurvives(f *testing.F) {
	f.Add("hunter22hunter22", "before ", " after", uint8(0), uint8(7), uint64(1))
	f.Add("pässwörd\"'&<>", "", "", uint8(3), uint8(64), uint64(2))
	f.Add("a b\nc d\n", "x", "y", uint8(5), uint8(3), uint64(3))
	f.Fuzz(func(t *testing.T, secret, before, after string, form, width uint8, seed uint64) {
		if len(secret) > 2000 || len(before)+len(after) > 2000 {
			t.Skip()
		}
		s, short := redact.New(redact.Value{Text: secret})
		secret = strings.TrimSpace(secret)
		if short != nil {
			return
		}
		var written string
		switch form % 7 {
		case 0:
			written = secret
		case 1:
			written = hex.EncodeToString([]byte(secret))
		case 2:
			written = url.QueryEscape(secret)
		case 3:
			written = base64.StdEncoding.EncodeToString([]byte(secret))[:len(secret)*8/6]
		case 4:
			written = base64.URLEncoding.EncodeToString([]byte("u" + secret))[2 : (len(secret)+1)*8/6]
		case 5:
			written = base64.StdEncoding.EncodeToString([]byte("uu" + secret))[3 : (len(secret)+2)*8/6]
		case 6:
			written = url.PathEscape(secret)
		}
		letters := strings.NewReplacer("\n", "", "\r", "")
		if len(letters.Replace(written)) < 5 {
			return
		}
		text := []byte(before + written + after)
		if width > 0 {
			text = bytes.Join(slices.Collect(slices.Chunk(text, int(width))), []byte("\n"))
		}
		var out bytes.Buffer
		w := s.Writer(&out)
		for random, rest := rand.New(rand.NewPCG(seed, 0)), text; len(rest) > 0; {
			n := 1 + random.IntN(len(rest))
			_, _ = w.Write(rest[:n])
			rest = rest[n:]
		}
		_ = w.Flush()
		if w.Masked() == 0 || strings.Contains(letters.Replace(out.String()), letters.Replace(written)) && !strings.Contains(letters.Replace(before+after), letters.Replace(written)) && !strings.Contains(redact.Mask, letters.Replace(written)) {
			t.Errorf("%q in %q: %q", written, text, out.String())
		}
	})
}

// A set of hundreds of secrets, and one with a very long secret, are made in bounded time and memory.
func TestLarge(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var many []string
	for range 300 {
		many = append(many, fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()))
	}
	if got := set(t, many...).String("a " + many[150] + " b"); got != "a *** b" {
		t.Error(got)
	}
	long := make([]byte, 16<<10)
	for i := range long {
		long[i] = byte(random.UintN(256))
	}
	s := set(t, string(long))
	encoded := base64.StdEncoding.EncodeToString(long)
	if got := s.String(encoded); len(got) > 10 {
		t.Errorf("%d bytes remain", len(got))
	}
}

// buildLog is text as builds write it.
func buildLog(n int) []byte {
	var b bytes.Buffer
	random := rand.New(rand.NewPCG(3, 4))
	for b.Len() < n {
		fmt.Fprintf(&b, "2026-11-25T20:%02d:%02d INFO  [worker-%d] compiling github.com/shop/app/internal/store/%x.go (%d ms)\n", random.IntN(60), random.IntN(60), random.IntN(8), random.Uint64(), random.IntN(1000))
	}
	return b.Bytes()[:n]
}

func twenty(b *testing.B) *redact.Set {
	random := rand.New(rand.NewPCG(5, 6))
	var all []string
	for range 20 {
		all = append(all, base64.RawURLEncoding.EncodeToString(fmt.Append(nil, random.Uint64(), random.Uint64())))
	}
	return set(b, all...)
}

// A log in which there is no secret, past twenty secrets.
func BenchmarkWriter(b *testing.B) {
	s, text := twenty(b), buildLog(1<<20)
	for _, size := range []int{32 << 10, 100} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			w := s.Writer(io.Discard)
			for b.Loop() {
				for part := range slices.Chunk(text, size) {
					_, _ = w.Write(part)
				}
			}
		})
	}
}
