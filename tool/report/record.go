package report

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/mask"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// record is what a tool says is wrong. What it does not say is left empty.
type record struct {
	rule      string // the tool's name for what is wrong
	generator string // the same in full, where a part of it may change
	title     string // "" is the first line of the text, else the rule
	text      string
	severity  string        // the tool's own word or number
	label     finding.Label // "" is the severity's by the table of the format, then by the score, then MEDIUM
	score     float64       // CVSS, or another from 0 to 10

	file         string
	line, column int
	resource     string   // what else it is about: a URL, an ARN, an image, a host …
	kind         string   // of the resource, as ASFF names it; "" is Other
	region       string   // of the resource
	account      string   // of the resource, twelve digits
	places       []string // more of the same: URLs, paths
	key          []string // what tells it from others of the same rule and file or resource, for as long as it stands
	tie          []string // what tells it from others of the same key in this report alone
	fingerprint  string   // the tool's own

	cwe      []string
	owasp    []string
	refs     []string
	url      string // where the tool tells more
	fix      string
	excerpt  string
	secret   string // masked wherever it stands, and told by its hash
	weak     bool   // the secret could be guessed from its hash, which then is not shown
	evidence string

	vulnerability string // CVE, GHSA …: the id that counts
	aliases       []string
	pkg           string
	installed     string
	fixed         []string
	purl          string
	ecosystem     string
	scope         string
	cvss          []cvssScore
	epss          float64
	kev           bool
	exploit       bool

	types      string // ASFF's; "" is told by what else is there
	status     string // of Compliance, where the record is a check
	suppressed bool
	why        string // it is suppressed
	closed     bool   // the tool says that it is no more
	confidence string
	first      string // when the tool saw it first, in any form of time
	fields     map[string]string

	plain  string    // the secret itself, never kept
	vex    VEXStatus // what a VEX document says of it, and why
	vexWhy string

	asff  *finding.Finding // kept as it came, where it is one already
	known key              // ours, where the report is our own
}

// own takes a fingerprint of ours over as it is.
func (r *record) own(text string) {
	if raw, err := hex.DecodeString(text); err == nil && len(raw) == len(r.known) {
		copy(r.known[:], raw)
	}
}

// FieldSuppressed is the product field that says why the tool suppresses a finding.
const FieldSuppressed = "haechi/suppressed"

// cvssScore is a score as ASFF has it.
type cvssScore struct {
	Version string  `json:"Version,omitzero"`
	Score   float64 `json:"BaseScore"`
	Vector  string  `json:"BaseVector,omitzero"`
	Source  string  `json:"Source,omitzero"`
}

// complete decides what formats leave to a default.
func (r *record) complete(in *reading) {
	r.rule = strings.TrimSpace(or(r.rule, r.vulnerability, in.told.Tool, "unknown"))
	r.file = cleanPath(r.file)
	for i := range r.cvss {
		r.cvss[i].Version = or(r.cvss[i].Version, versionOf(r.cvss[i].Vector))
		r.score = max(r.score, r.cvss[i].Score)
	}
	if r.suppressed {
		r.why = or(r.why, "suppressed by the tool")
	}
	if r.label == "" {
		r.label = labelOf(r.severity)
	}
	if r.label == "" && r.score > 0 {
		r.label = labelOfScore(r.score)
	}
	if r.label == "" {
		r.label = finding.Medium
		if word := strings.TrimSpace(r.severity); word != "" && !strings.EqualFold(word, "unknown") && !strings.EqualFold(word, "untriaged") {
			in.warn("severity %.60q is not known and counts as MEDIUM", word)
		}
	}
	if r.secret != "" {
		hide := func(s string) string { return strings.ReplaceAll(s, r.secret, mask.Mask) }
		r.title, r.text, r.excerpt, r.evidence, r.resource, r.url = hide(r.title), hide(r.text), hide(r.excerpt), hide(r.evidence), hide(r.resource), hide(r.url)
		if fields := r.fields; fields != nil {
			for k, v := range fields {
				fields[k] = hide(v)
			}
		}
		r.secret, r.weak = secretHash(in.options.Salt, r.secret), weak(r.secret)
	}
	if r.text == "" {
		r.text = r.title
	}
	r.title = or(r.title, firstLine(r.text), r.rule)
}

// secretHash is the hash of a secret as our own scanner makes it, so that one secret that two tools found is known for one.
func secretHash(salt []byte, secret string) string {
	m := hmac.New(sha256.New, append([]byte("haechi/secret/"), salt...))
	m.Write([]byte(secret))
	return hex.EncodeToString(m.Sum(nil)[:16])
}

// weak tells of a secret that it holds less than enough bits by the letters it is made of.
func weak(secret string) bool {
	const enough = 64 // as our own scanner has it
	count := map[byte]float64{}
	for i := range len(secret) {
		count[secret[i]]++
	}
	bits, n := 0.0, float64(len(secret))
	for _, c := range count {
		bits -= c * math.Log2(c/n)
	}
	return bits < enough
}

// identity is the record's key, and what tells it from others of the same key.
func (r *record) identity() (key, variant) {
	if r.known != (key{}) {
		return r.known, variant{}
	}
	if r.asff != nil {
		return keyOf(append([]string{"asff", r.asff.ProductARN, r.asff.ID}, r.key...)...), variant{tie: keyOf(r.tie...)}
	}
	parts := []string{r.rule, r.file}
	if r.file == "" {
		parts = append(parts, r.resource)
	}
	switch {
	case r.fingerprint != "":
		parts = append(parts, "fingerprint", r.fingerprint)
	case r.secret != "":
		parts = append(parts, "secret", r.secret)
	case r.vulnerability != "" || r.pkg != "":
		parts = append(parts, "package", r.vulnerability, r.pkg)
	case len(r.key) == 0 && r.excerpt != "":
		parts = append(parts, "line", strings.Join(strings.Fields(r.excerpt), " "))
	}
	parts = append(parts, r.key...)
	if r.secret != "" {
		return keyOf(parts...), variant{} // wherever in the file, and in how many commits
	}
	v := variant{line: int32(r.line), column: int32(r.column)}
	switch {
	case r.tie != nil:
		v.tie = keyOf(r.tie...)
	case r.vulnerability != "" && r.pkg != "":
		v.tie = keyOf(r.installed)
	default:
		v.tie = keyOf(r.title, r.text, r.resource)
	}
	return keyOf(parts...), v
}

// finding is the record in ASFF, with nothing in it that the masker knows for a secret.
func (r *record) finding(id key, count int, tool string) finding.Finding {
	if r.asff != nil {
		return r.asffFinding(id, count)
	}
	fields := finding.At(diag.Place{File: r.file, Line: r.line, Column: r.column})
	if r.file == "" {
		clear(fields)
	}
	set := func(name, value string) {
		if value = clean(value, 2000); value != "" {
			fields[name] = value
		}
	}
	for k, v := range r.fields {
		set("haechi/report/"+k, v)
	}
	fields[finding.FieldFingerprint] = id.String()
	set(finding.FieldExcerpt, r.excerpt)
	set(finding.FieldEvidence, r.evidence)
	if !r.weak {
		set(finding.FieldSecret, r.secret)
	}
	set(finding.FieldCWE, strings.Join(cwes(r.cwe), ", "))
	set("haechi/owasp", strings.Join(r.owasp, ", "))
	set(finding.FieldPackage, r.pkg)
	set(finding.FieldInstalled, r.installed)
	set(finding.FieldFixed, strings.Join(r.fixed, ", "))
	set("haechi/purl", r.purl)
	set(finding.FieldScope, r.scope)
	set("haechi/confidence", r.confidence)
	set(FieldSuppressed, r.why)
	set("haechi/references", strings.Join(r.refs, " "))
	set("haechi/places", strings.Join(r.places, " "))
	if r.kev {
		fields["haechi/kev"] = "YES"
	}
	if count > 1 {
		fields["haechi/occurrences"] = strconv.Itoa(count)
	}
	f := finding.Finding{
		GeneratorID: clean(or(r.generator, r.rule), 512), Title: clean(oneLine(r.title), 256), Description: clean(or(r.text, r.title), 1024),
		Severity:    &finding.Severity{Label: r.label, Original: clean(r.severity, 64)},
		ProductName: tool, ProductFields: fields, Types: []string{r.typeOf()},
		Remediation: remediation(r.fix, or(r.url, firstURL(r.refs))), Vulnerabilities: r.vulnerabilities(), Resources: r.resources(),
		FirstObservedAt: stamp(r.first),
	}
	if link := webAddress(r.url); link != "" {
		f.SourceURL = link
	}
	if r.status != "" {
		f.Compliance = &finding.Compliance{Status: r.status}
	}
	if r.closed {
		f.RecordState = finding.Archived
	}
	if r.suppressed {
		f.Workflow = &finding.Workflow{Status: finding.Suppressed}
	}
	return f
}

func (r *record) typeOf() string {
	switch {
	case r.types != "":
		return r.types
	case r.vulnerability != "" || r.pkg != "":
		return "Software and Configuration Checks/Vulnerabilities/CVE"
	case r.secret != "":
		return "Sensitive Data Identifications/Passwords"
	case r.status != "":
		return "Software and Configuration Checks"
	}
	return "Software and Configuration Checks/Vulnerabilities"
}

func (r *record) resources() []finding.Resource {
	if r.resource == "" {
		return nil // the target, or the file in it
	}
	return []finding.Resource{{Type: or(r.kind, "Other"), ID: clean(r.resource, 512), Region: r.region, Partition: partitionOf(r.resource)}}
}

func partitionOf(arn string) string {
	if parts := strings.SplitN(arn, ":", 3); len(parts) == 3 && parts[0] == "arn" && (parts[1] == "aws-cn" || parts[1] == "aws-us-gov") {
		return parts[1]
	}
	return "aws"
}

func (r *record) vulnerabilities() []finding.Vulnerability {
	if r.vulnerability == "" {
		return nil
	}
	v := finding.Vulnerability{ID: clean(r.vulnerability, 512), Related: r.aliases, ReferenceURLs: urls(r.refs)}
	if r.pkg != "" {
		v.Packages = []finding.Package{{Name: r.pkg, Version: r.installed, PackageManager: r.ecosystem, FilePath: r.file, FixedInVersion: clean(strings.Join(r.fixed, ", "), 512)}}
	}
	if len(r.fixed) > 0 {
		v.FixAvailable = "YES"
	}
	if r.exploit || r.kev {
		v.ExploitAvailable = "YES"
	}
	if r.epss > 0 && r.epss <= 1 {
		v.EpssScore = &r.epss
	}
	if len(r.cvss) > 0 {
		if text, err := json.Marshal(map[string][]cvssScore{"Cvss": r.cvss}); err == nil {
			v.Extra = jsontext.Value(text)
		}
	}
	return []finding.Vulnerability{v}
}

func remediation(text, link string) *finding.Remediation {
	text, link = clean(text, 512), webAddress(link)
	if text == "" && link == "" {
		return nil
	}
	return &finding.Remediation{Recommendation: &finding.Recommendation{Text: text, URL: link}}
}

// webAddress is text if it is one, so that no page ever links to a script.
func webAddress(text string) string {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len(text) > 2000 {
		return ""
	}
	return mask.Text(u.String())
}

func firstURL(list []string) string {
	for _, s := range list {
		if u := webAddress(s); u != "" {
			return u
		}
	}
	return ""
}

func urls(list []string) (all []string) {
	for _, s := range list {
		if u := webAddress(s); u != "" && len(all) < 20 && !slices.Contains(all, u) {
			all = append(all, u)
		}
	}
	return all
}

// clean is a text that may be kept: masked, without NUL, UTF-8, at most so many bytes.
func clean(s string, most int) string {
	if s == "" {
		return ""
	}
	s = strings.TrimSpace(strings.ReplaceAll(s, "\x00", "\uFFFD"))
	return finding.Shorten(mask.Text(finding.Shorten(s, 4*most+1024)), most)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(line)
}

var tags = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`<(/?)([a-zA-Z][a-zA-Z0-9]*)[^<>]*>`) })

// plainText is the text of HTML: for reading only, nothing is ever shown as HTML.
func plainText(html string) string {
	if !strings.Contains(html, "<") && !strings.Contains(html, "&") {
		return html
	}
	text := tags().ReplaceAllStringFunc(html, func(tag string) string {
		switch m := tags().FindStringSubmatch(tag); strings.ToLower(m[2]) {
		case "p", "br", "li", "div", "tr", "h1", "h2", "h3", "pre", "ul", "ol":
			return "\n"
		}
		return ""
	})
	text = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&quot;", `"`, "&#39;", "'", "&apos;", "'", "&nbsp;", " ", "&amp;", "&").Replace(text)
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.TrimSpace(strings.Join(slices.DeleteFunc(lines, func(l string) bool { return l == "" }), "\n"))
}

var windowsDrive = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z]:/`) })

// cleanPath is a path as findings have them: slashes, relative where that can be told, no percent signs of URIs.
func cleanPath(p string) string {
	p = strings.TrimSpace(strings.ReplaceAll(p, "\x00", "\uFFFD"))
	if rest, ok := strings.CutPrefix(p, "file:"); ok {
		rest = "/" + strings.TrimLeft(rest, "/")
		if plain, err := url.PathUnescape(rest); err == nil {
			rest = plain
		}
		p = rest
	}
	if p == "" {
		return ""
	}
	p = strings.ReplaceAll(p, `\`, "/")
	p = windowsDrive().ReplaceAllString(strings.TrimPrefix(p, "//?/"), "")
	p = strings.TrimLeft(path.Clean("/"+p), "/")
	for _, folder := range []string{"github/workspace/", "code-under-test/"} {
		p = strings.TrimPrefix(p, folder)
	}
	return clean(p, 1024)
}

var cweForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^(?:external/cwe/)?(?:cwe[-_: ]*)?0*([1-9][0-9]{0,4})(?:\b|$)`)
})

// cwes are the weaknesses as CWE-79, each once.
func cwes(texts []string) (all []string) {
	for _, t := range texts {
		if m := cweForm().FindStringSubmatch(strings.TrimSpace(t)); m != nil && !slices.Contains(all, "CWE-"+m[1]) {
			all = append(all, "CWE-"+m[1])
		}
	}
	return all
}

// cweTags are those of tags that name a weakness.
func cweTags(tags []string) (all []string) {
	for _, t := range tags {
		if l := strings.ToLower(t); strings.HasPrefix(l, "cwe") || strings.HasPrefix(l, "external/cwe/") {
			all = append(all, t)
		}
	}
	return all
}

func owaspTags(tags []string) (all []string) {
	for _, t := range tags {
		if strings.HasPrefix(strings.ToLower(t), "owasp") {
			all = append(all, t)
		}
	}
	return all
}

var timesOfTools = []string{time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05", "2006-01-02", time.RFC1123, time.RFC1123Z, "Mon, 2 Jan 2006 15:04:05", time.ANSIC, "Mon Jan 2 15:04:05 MST 2006"}

// stamp is a time of a tool as findings have it, "" where it cannot be read.
func stamp(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	for _, form := range timesOfTools {
		if t, err := time.Parse(form, text); err == nil && t.Year() > 1980 && t.Year() < 2200 {
			return finding.Stamp(t)
		}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 1e9 && n < 7e12 {
		if n > 1e11 {
			return finding.Stamp(time.UnixMilli(n))
		}
		return finding.Stamp(time.Unix(n, 0))
	}
	return ""
}

func versionOf(vector string) string {
	if rest, ok := strings.CutPrefix(vector, "CVSS:"); ok {
		v, _, _ := strings.Cut(rest, "/")
		return v
	}
	if strings.HasPrefix(strings.TrimPrefix(vector, "("), "AV:") && strings.Contains(vector, "Au:") {
		return "2.0"
	}
	return ""
}

// cve is the first id that is a CVE, else the first at all; the others are its aliases.
func cve(ids ...string) (id string, aliases []string) {
	for _, i := range ids {
		if i = strings.TrimSpace(i); i == "" {
			continue
		}
		id = cmp.Or(id, i)
		if strings.HasPrefix(i, "CVE-") && !strings.HasPrefix(id, "CVE-") {
			id = i
		}
		if !slices.Contains(aliases, i) {
			aliases = append(aliases, i)
		}
	}
	return id, slices.DeleteFunc(aliases, func(a string) bool { return a == id })
}
