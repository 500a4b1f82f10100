package secret

import (
	"encoding/hex"
	"strings"
)

// purpose is what a name says that its value is for.
type purpose int

const (
	nothing     purpose = iota
	forKey              // some key: only a value that is plainly random counts
	forToken            // a token, an API key, a secret
	forPassword         // a password: people make them up
)

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		set[w] = true
	}
	return set
}

// vocabulary is what the words of names mean.
type vocabulary struct {
	password, token, keyed map[string]bool
	before, after          map[string]bool // words that make a name mean something else
}

func newVocabulary() *vocabulary {
	return &vocabulary{
		password: wordSet("password passwd passwort pass pwd pw passphrase passcode psk"),
		token:    wordSet("secret token credential credentials apikey accesskey secretkey authkey authtoken bearer auth"),
		keyed:    wordSet("api access secret private auth signing encryption master account storage service app admin session cookie jwt deploy shared root client consumer license sign crypt cipher aes hmac"),
		before: wordSet("public pub publishable site mock fake dummy example sample test testing tests expected invalid wrong bad placeholder csrf xsrf next previous prev page continuation change delta sync cache primary foreign sort partition index row unique map no not " +
			"s3 object starting update resume idempotency request upload without is has should can needs require requires forgot forgotten old show hide toggle"),
		after: wordSet("id ids identifier name names url uri urls link path paths file files filename dir folder type types length len size count expiry expiration expires expire expired ttl timeout minutes seconds hours days age field fields input hint label header headers prefix suffix " +
			"policy policies pattern regex regexp class factory bean endpoint endpoints image arn version algorithm alg hash hashed hashes digest checksum md5 sha sha1 sha256 commit revision index enabled disabled required validator validation provider manager store storage ref reference refs env var variable " +
			"placeholder error errors message msg text title description desc page route form method column param params parameter parameters format min max reset changed change changes history generator encoder decoder checker check confirm confirmation strength usage scope scopes audience issuer fingerprint fingerprints thumbprint " +
			"lifetime duration date time at on response request handler callback service client middleware filter interceptor config configuration settings options option source vault manager info number selection prototype key_id kid status state count exists valid rotation rotate lookup mode kind test example"),
	}
}

// purposeOf reads a name.
func (v *vocabulary) purposeOf(name string) purpose {
	if strings.Contains(name, "비밀번호") || strings.Contains(name, "암호") {
		return forPassword
	}
	words := splitWords(name)
	for i := range words {
		words[i] = strings.ToLower(words[i])
	}
	found, at := nothing, -1
	for i, w := range words {
		if v.before[w] {
			return nothing
		}
		if p := v.wordPurpose(words, i, w); p != nothing {
			found, at = p, i
		}
	}
	for _, w := range words[at+1:] {
		if v.after[w] && at >= 0 {
			return nothing
		}
	}
	return found
}

func (v *vocabulary) wordPurpose(words []string, i int, w string) purpose {
	switch {
	case w == "pass" && i > 0 && drawn()[words[i-1]]: // a step of a renderer or a compiler
		return nothing
	case v.password[w]:
		return forPassword
	case v.token[w]:
		return forToken
	case w == "key" || w == "keys":
		if i > 0 && v.keyed[words[i-1]] {
			return forToken
		}
		return forKey
	}
	for _, end := range []string{"password", "passwd", "passphrase", "pwd", "rootpw", "adminpw", "userpw", "dbpw", "bindpw"} {
		if strings.HasSuffix(w, end) {
			return forPassword
		}
	}
	if strings.HasSuffix(w, "pass") && len(w) < 12 && !innocent()[w] {
		return forPassword
	}
	for _, end := range []string{"secret", "token", "apikey", "accesskey", "secretkey"} {
		if strings.HasSuffix(w, end) {
			return forToken
		}
	}
	return nothing
}

// innocent are words that end in pass and have nothing to do with it.
func innocent() map[string]bool {
	return wordSet("bypass compass trespass encompass surpass overpass underpass byPass highpass lowpass bandpass multipass renderpass subpass onepass backpass forwardpass")
}

// drawn are words that make the pass behind them a step of a renderer or a compiler.
func drawn() map[string]bool {
	return wordSet("render shadow first second third last final depth color blur light compute multi single two one opt optimization analysis geometry next")
}

// plausible tells whether value can be a secret of that purpose.
func (p purpose) plausible(value string) bool {
	switch p {
	case forPassword:
		return passwordLike(value) || tokenLike(value)
	case forToken:
		return tokenLike(value) || symbolic(value)
	case forKey:
		lower, upper, digit, _ := kinds(value)
		return len(value) >= 20 && lower > 2 && upper > 2 && digit > 1 && entropy(value) >= 4 && tokenLike(value)
	}
	return false
}

// meaningless tells values that cannot be a secret, whatever the name.
func meaningless(v string) bool {
	switch {
	case isPlaceholder(v), isReference(v), isEncrypted(v), isPublic(v), isDocumented(v), isUUID(v), weakWord(v):
		return true
	case strings.ContainsAny(v, " \t\r\n"), strings.HasPrefix(v, "/"), strings.HasPrefix(v, "./"), strings.HasPrefix(v, "~/"):
		return true
	case strings.Contains(v, "%s"), strings.Contains(v, "%d"), strings.Contains(v, "%v"), strings.Contains(v, "()"), strings.Contains(v, "->"), strings.Contains(v, "::"), strings.Contains(v, "</"), strings.Contains(v, "&#"), strings.Contains(v, "&lt;"), strings.Contains(v, "&gt;"):
		return true
	}
	return isCode(v) || isEmail(v) || isConstant(v) || hides(v)
}

// isConstant tells THE_NAMES_OF_CONSTANTS.
func isConstant(v string) bool {
	lower, upper, _, other := kinds(v)
	return lower == 0 && upper > 3 && other > 0 && other == strings.Count(v, "_")
}

// hides tells base64 of what would be no secret in clear.
func hides(v string) bool {
	if len(v) < 6 {
		return false
	}
	encoded := strings.TrimRight(v, "=")
	raw, err := encodingOf([]byte(encoded)).DecodeString(encoded)
	if isHex(v) && len(v)%2 == 0 {
		raw, err = hex.DecodeString(v)
	}
	if err != nil || !printable(raw) {
		return false
	}
	text := strings.TrimSpace(string(raw))
	return isPlaceholder(text) || isReference(text) || isEncrypted(text) || isDocumented(text) || isUUID(text) || weakWord(text) ||
		wordlike(text) && !strings.Contains(text, ":") && !passwordLike(text) || strings.Contains(text, "://") && !strings.Contains(text, "@")
}

// isCode tells calls, subscripts and regular expressions.
func isCode(v string) bool {
	for i := range len(v) {
		if (v[i] == '(' || v[i] == '[') && i > 0 && isName(v[:i]) && isLetter(v[0]) && strings.IndexAny(v[i:], ")]") > 0 {
			return true
		}
	}
	if strings.HasSuffix(v, "(") {
		return true
	}
	for _, part := range []string{`\w`, `\d`, `\s`, `\S`, `[^`, `(?`, `.*`, `.+`, `]+`, `]{`, `[a-z`, `[A-Z`, `[0-9`, `[]`, `{}`, `){`, `;}`} {
		if strings.Contains(v, part) {
			return true
		}
	}
	return false
}

func isEmail(v string) bool {
	user, host, ok := strings.Cut(v, "@")
	return ok && isName(user) && isName(host) && strings.Contains(host, ".") && !strings.ContainsAny(host, "0123456789")
}

// passwordLike: mixed as people mix passwords, not a word, a label or a setting.
func passwordLike(v string) bool {
	if len(v) < 6 || len(v) > 100 || meaningless(v) || isHash(v) {
		return false
	}
	lower, upper, digit, _ := kinds(v)
	symbols := 0
	for i := range len(v) {
		if !isAlnum(v[i]) && strings.IndexByte("-_.:/,", v[i]) < 0 {
			symbols++
		}
	}
	mix := 0
	for _, n := range []int{lower, upper, digit, symbols} {
		if n > 0 {
			mix++
		}
	}
	switch {
	case lower+upper == 0 || digit+symbols == 0 && wordlike(v):
		return false
	case symbols == 1 && digit == 0 && strings.IndexByte("!?*.:", v[len(v)-1]) >= 0 && wordlike(v[:len(v)-1]):
		return false // a label or a sentence of one word
	}
	return mix >= 3 || mix == 2 && len(v) >= 8 && !wordlike(v)
}

// tokenLike: random text in the alphabet of tokens.
func tokenLike(v string) bool {
	if len(v) < 16 || len(v) > 512 || meaningless(v) {
		return false
	}
	lower, upper, digit, other := kinds(v)
	mixed := digit > 0 || len(v) >= 24 && lower > 4 && upper > 4
	if lower+upper == 0 || !mixed || !tokenAlphabet(v) || 4*other > len(v) || strings.HasPrefix(v, "eyJ") {
		return false
	}
	least := 3.5
	if isHex(v) {
		least = 3.0
	} else if len(v) < 24 {
		least = 3.2
	}
	return entropy(v) >= least && !wordlike(v) && !isPath(v) && !isDotted(v)
}

func tokenAlphabet(v string) bool {
	for i := range len(v) {
		if !isAlnum(v[i]) && strings.IndexByte("+/=_.~:-", v[i]) < 0 {
			return false
		}
	}
	return true
}

// isPath tells a/b/c where two parts or more are words.
func isPath(v string) bool {
	words := 0
	for part := range strings.SplitSeq(v, "/") {
		if len(part) > 2 && wordlike(part) {
			words++
		}
	}
	return words > 1
}

// isDotted tells a.b.c where two parts or more are words, as names of hosts, packages and files are.
func isDotted(v string) bool {
	words := 0
	for part := range strings.SplitSeq(v, ".") {
		if len(part) > 2 && wordlike(part) {
			words++
		}
	}
	return words > 1
}

// symbolic: short, but of all four kinds, as generators of passwords make it.
func symbolic(v string) bool {
	lower, upper, digit, other := kinds(v)
	return len(v) >= 10 && len(v) <= 100 && lower > 0 && upper > 0 && digit > 0 && other > 1 && passwordLike(v) && !tokenAlphabet(v)
}
