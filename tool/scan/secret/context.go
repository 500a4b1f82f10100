package secret

import (
	"math"
	"path"
	"strings"
	"unicode/utf8"
)

// entropy is Shannon's, in bits a byte.
func entropy(s string) float64 {
	if s == "" {
		return 0
	}
	var count [256]int
	for i := range len(s) {
		count[s[i]]++
	}
	bits := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(s))
			bits -= p * math.Log2(p)
		}
	}
	return bits
}

// isPlaceholder tells a value that stands for one: "changeme", "<token>", "xxxx".
func isPlaceholder(s string) bool {
	if strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">") || strings.Contains(s, "...") {
		return true
	}
	low := strings.ToLower(s)
	for _, word := range placeholderWords() {
		if strings.Contains(low, word) {
			return true
		}
	}
	for _, word := range placeholderParts() { // too short to be found by chance only as a part of its own
		if hasPart(low, word) {
			return true
		}
	}
	return isMonotonous(s)
}

func placeholderWords() []string {
	return []string{"changeme", "change-me", "change_me", "replace", "placeholder", "redacted", "example", "your-", "your_", "yourtoken", "yourpass",
		"yourkey", "yoursecret", "yourapi", "insert_", "insert-", "_here", "-here", "dummy", "sample", "notreal", "not-a-real", "not_a_real", "xxxx", "****", "....",
		"enter_", "my-secret", "my_secret", "mysecret", "mypassword", "my-password", "my_password", "topsecret", "supersecret", "super-secret", "super_secret"}
}

func placeholderParts() []string {
	return []string{"todo", "fixme", "tbd", "fake", "mock", "xxx", "foo", "bar", "foobar", "null", "nil", "none", "undefined", "unset", "invalid"}
}

// hasPart tells whether word stands in s between what is neither letter nor digit.
func hasPart(s, word string) bool {
	for from := 0; ; {
		i := strings.Index(s[from:], word)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(word)
		if (i == 0 || !isAlnum(s[i-1])) && (end == len(s) || !isAlnum(s[end])) {
			return true
		}
		from = i + 1
	}
}

// isMonotonous tells values typed to fill a space: few characters, short
// periods, runs of one character, the alphabet.
func isMonotonous(s string) bool {
	if len(s) < 6 {
		return false
	}
	var distinct [256]bool
	kinds, run, longestRun, climb, longestClimb := 0, 1, 1, 1, 1
	for i := range len(s) {
		if !distinct[s[i]] {
			distinct[s[i]] = true
			kinds++
		}
		if i == 0 {
			continue
		}
		if s[i] == s[i-1] {
			run++
		} else {
			run = 1
		}
		if s[i] == s[i-1]+1 {
			climb++
		} else {
			climb = 1
		}
		longestRun, longestClimb = max(longestRun, run), max(longestClimb, climb)
	}
	switch {
	case kinds <= 3, len(s) >= 16 && kinds <= 5:
		return true
	case longestRun >= 6 && 3*longestRun >= len(s), longestRun >= 10:
		return true
	case longestClimb >= 8 && 3*longestClimb >= len(s):
		return true
	}
	if half := len(s) / 2; half >= 8 && s[:half] == s[half:2*half] { // no generator says anything twice
		return true
	}
	for _, period := range []int{2, 3, 4, 5, 6, 8} {
		if len(s) >= 3*period && strings.Repeat(s[:period], len(s)/period+1)[:len(s)] == s {
			return true
		}
	}
	return false
}

// isReference tells a value that says where the secret is to be found.
func isReference(s string) bool {
	for _, mark := range []string{"${", "{{", "$(", "%{", "<%", "#{", "$[", "((", "@{"} {
		if strings.Contains(s, mark) {
			return true
		}
	}
	if open := strings.IndexByte(s, '{'); open >= 0 && open+1 < len(s) && isLetter(s[open+1]) && strings.IndexByte(s[open:], '}') > 0 { // of a format
		return true
	}
	low := strings.ToLower(s)
	for _, start := range []string{"!ref", "!getatt", "!sub", "!vault", "!secret", "arn:", "vault:", "op://", "ssm:", "secret:", "secret://", "ref+", "env.", "env:", "env(", "file:", "file(", "data.", "var.", "local.",
		"process.env", "import.meta", "os.environ", "os.getenv", "system.getenv", "@microsoft.keyvault", "projects/", "awssm", "keyring:", "akv:", "doppler:", "sops:", "%env", "config.", "secrets.", "self.", "this.", "params.", "settings."} {
		if strings.HasPrefix(low, start) {
			return true
		}
	}
	for _, part := range []string{"getenv(", "environ[", "environ.get", "secretsmanager", "valuefrom", "fromsecret", "secretref"} {
		if strings.Contains(low, part) {
			return true
		}
	}
	switch {
	case len(s) > 1 && s[0] == '$' && isName(s[1:]): // $TOKEN, $env:TOKEN
		return true
	case len(s) > 2 && s[0] == s[len(s)-1] && (s[0] == '%' || s[0] == '@') && isName(s[1:len(s)-1]):
		return true
	}
	return false
}

// isEncrypted tells a value that is worthless without a key kept elsewhere.
func isEncrypted(s string) bool {
	for _, start := range []string{"ENC[", "ENC(", "{cipher}", "$ANSIBLE_VAULT", "AgA", "vault:v", "AQICAH", "{AES}", "{jasypt}"} {
		if strings.HasPrefix(s, start) && (start != "AgA" || len(s) > 300) {
			return true
		}
	}
	return false
}

// isPublic tells what is meant to be seen: public keys, certificates, digests that say so.
func isPublic(s string) bool {
	for _, start := range []string{"ssh-", "ecdsa-", "sha1-", "sha256-", "sha384-", "sha512-", "sha256:", "sha512:", "md5:", "-----BEGIN PUBLIC", "-----BEGIN CERT", "data:", "h1:", "pk.eyJ", "pk_live_", "pk_test_", "MIIBIjANBgkqh", "MFkwEwYHKoZIzj", "AAAAB3Nza", "AAAAC3Nza"} {
		if strings.HasPrefix(s, start) {
			return true
		}
	}
	return strings.Contains(s, "@sha256:") || strings.Contains(s, "://")
}

// isHash tells hexadecimal digits as long as a digest.
func isHash(s string) bool {
	switch len(s) {
	case 32, 40, 56, 64, 96, 128:
		return isHex(s)
	}
	return false
}

func isHex(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return s != ""
}

func isUUID(s string) bool {
	s = strings.Trim(s, "{}")
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
		} else if !isHex(s[i : i+1]) {
			return false
		}
	}
	return true
}

// isDocumented tells the keys that providers print in their own documentation.
func isDocumented(s string) bool {
	if strings.HasSuffix(s, "EXAMPLE") || strings.HasSuffix(s, "EXAMPLEKEY") || strings.Contains(s, "EXAMPLEKEY") {
		return true
	}
	for _, known := range []string{"4eC39HqLyjWDarjtT1zdp7dc", "tGN0bIwXnHdwOa85VABjPdSn", // of Stripe, behind their prefix
		"2YotnFZFEjr1zCsicMWpAA", "tGzv3JOkF0XgQx2TlKWIA", "tGzv3JOkF0XG5Qx2TlKWIA", "mF_9.B5f-4.1JqM", "czZCaGRSa3F0MzpnWDFmQmF0M2JW", "SplxlOBeZQQYbYS6WxSbIA", "gX1fBat3bV", "7Fjfp0ZBr1KtDRbnfVdmIw", "h480djs93hd8", "0685bd9184jfhq22", "ad180jjd733klru7"} { // of OAuth's standards
		if strings.HasSuffix(s, known) {
			return true
		}
	}
	return false
}

// isName tells identifiers: letters, digits, and what joins them.
func isName(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && strings.IndexByte("_-.:", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

// wordlike tells text that people read: words in any case, joined by any means.
func wordlike(s string) bool {
	pieces := splitWords(s)
	if len(s) > 8 && 10*len(s) < 34*len(pieces) { // thrown together: words are longer
		return false
	}
	letters, odd, words := 0, 0, 0
	for _, w := range pieces {
		switch {
		case isDigits(w):
			if len(w) > 4 {
				odd += len(w)
			}
		case isPronounceable(w):
			letters += len(w)
			words++
		default:
			odd += len(w)
		}
	}
	return words > 0 && 4*odd <= letters
}

// splitWords cuts at separators, between small and capital letters, and between letters and digits.
func splitWords(s string) []string {
	var words []string
	start := 0
	kind := func(c byte) int {
		switch {
		case c >= 'a' && c <= 'z':
			return 1
		case c >= 'A' && c <= 'Z':
			return 2
		case c >= '0' && c <= '9':
			return 3
		}
		return 0
	}
	for i := 1; i <= len(s); i++ {
		if i < len(s) {
			a, b := kind(s[i-1]), kind(s[i])
			if a == b || a == 2 && b == 1 && i-start == 1 {
				continue
			}
			if a == 2 && b == 1 { // XMLFile: XML and File
				if i-1 > start {
					words = append(words, s[start:i-1])
				}
				start = i - 1
				continue
			}
		}
		if w := s[start:i]; kind(w[0]) != 0 {
			words = append(words, w)
		}
		start = i
	}
	return words
}

// isPronounceable tells words of a language from letters thrown together: a
// vowel at least every four letters, and no more than four without one.
func isPronounceable(w string) bool {
	if len(w) < 2 {
		return false
	}
	vowels, without := 0, 0
	for i := range len(w) {
		if strings.IndexByte("aeiouyAEIOUY", w[i]) >= 0 {
			vowels++
			without = 0
		} else if without++; without > 4 {
			return false
		}
	}
	return len(w) <= 3 || 5*vowels >= len(w)
}

// weakWord tells values that nobody takes for a secret: one word, be it with digits behind it.
func weakWord(s string) bool {
	low := strings.ToLower(strings.Trim(s, ".!?:*"))
	low = strings.TrimRight(low, "0123456789")
	for _, w := range []string{"", "password", "passwd", "pass", "pwd", "secret", "token", "admin", "root", "user", "test", "guest", "default", "postgres", "mysql", "redis", "mongo",
		"rabbitmq", "letmein", "welcome", "qwerty", "abc", "hello", "username", "userpass", "passw", "p@ssw0rd", "passw0rd", "p@ssword", "key", "apikey", "api-key", "api_key", "empty", "string", "true", "false"} {
		if low == w {
			return true
		}
	}
	return false
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// printable tells text that people can read; a character may be cut off at its end.
func printable(b []byte) bool {
	wide := 0
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			return false
		}
		if c >= 0x80 {
			wide++
		}
	}
	if wide == 0 {
		return len(b) > 0
	}
	for cut := 0; cut < min(4, len(b)); cut++ {
		if utf8.Valid(b[:len(b)-cut]) {
			return true
		}
	}
	return false
}

// kinds of character in s.
func kinds(s string) (lower, upper, digit, other int) {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z':
			lower++
		case c >= 'A' && c <= 'Z':
			upper++
		case c >= '0' && c <= '9':
			digit++
		default:
			other++
		}
	}
	return
}

// genre is what kind of file a path names, as far as it matters here.
type genre struct {
	code  bool // values stand in quotes
	test  bool // what stands there is mostly made up
	none  bool // no file that people write
	prose bool // read by people, with examples
	table bool // names and values in columns
	made  bool // written by a tool: full of names, digests and random text
}

func genreOf(name string) genre {
	base, ext := strings.ToLower(path.Base(name)), strings.ToLower(path.Ext(name))
	var g genre
	switch ext {
	case ".go", ".java", ".kt", ".kts", ".scala", ".groovy", ".gradle", ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".vue", ".svelte", ".py", ".rb", ".php", ".cs", ".fs", ".vb", ".c", ".h", ".cc", ".cpp", ".hpp", ".m",
		".mm", ".rs", ".swift", ".dart", ".lua", ".pl", ".pm", ".ex", ".exs", ".erl", ".hs", ".clj", ".tf", ".hcl", ".r", ".jl", ".ps1", ".psm1", ".sol", ".nix", ".cljs", ".cljc", ".edn", ".el", ".lisp", ".scm", ".ml", ".mli", ".zig", ".nim", ".cr", ".v", ".hh", ".cxx", ".hxx", ".ino", ".jsonc", ".json5", ".sc", ".fsx", ".bicep", ".razor", ".cshtml", ".jsp", ".erb", ".sql", ".proto", ".graphql", ".css", ".scss", ".ipynb", ".json":
		g.code = true
	case ".so", ".dll", ".exe", ".dylib", ".a", ".o", ".class", ".png", ".jpg", ".jpeg", ".gif", ".ico", ".woff", ".woff2", ".ttf", ".eot", ".pdf", ".mp4", ".mgc", ".cache", ".mo", ".po":
		g.none = true
	case ".html", ".htm", ".md", ".rst", ".adoc":
		g.prose = true
	case ".csv", ".tsv":
		g.table = true
	case ".map", ".svg", ".lock", ".sum":
		g.made = true
	}
	for _, lock := range []string{"package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "go.sum", "cargo.lock", "poetry.lock", "composer.lock", "gemfile.lock", "uv.lock", "pdm.lock", "packages.lock.json", "gradle.lockfile"} {
		g.made = g.made || base == lock
	}
	low := "/" + strings.ToLower(name)
	for _, part := range []string{"/usr/bin/", "/usr/lib/", "/usr/lib64/", "/share/mime/", "/share/misc/", "/lib64/", ".so."} {
		g.none = g.none || strings.Contains(low, part)
	}
	g.made = g.made || strings.HasSuffix(base, ".min.js")
	for _, part := range []string{"/test/", "/tests/", "/testdata/", "/__tests__/", "/spec/", "/specs/", "/fixtures/", "/fixture/", "/mocks/", "/examples/", "/example/", "_test.", ".test.", ".spec.", "/test_", "/test-", "/mock"} {
		g.test = g.test || strings.Contains(low, part)
	}
	return g
}
