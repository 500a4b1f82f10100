package hub

import (
	"hash/fnv"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/word/finding"
)

// The kinds of ties: what two findings have in common that makes them one problem.
const (
	TieVulnerability = "vulnerability" // a vulnerability of a package in one target
	TieWeakness      = "weakness"      // a weakness at one place: file and line, or path and parameter
	TieRoute         = "route"         // a weakness in the code of a route, and at the route
	TieSecret        = "secret"        // one secret, by its keyed hash
	TieByHand        = "by hand"       // somebody said so
)

// claim is one thing that a finding says is wrong. Most findings make one; an alert about several
// addresses, or about a library with several vulnerabilities, makes several, so that what is tied to one
// of them is not tied to the others.
type claim struct {
	name  string // "" where the finding makes one alone
	marks []mark // findings with a mark in common may say the same
}

// mark is what is looked up: findings that say the same have one in common, and same tells whether those that have do.
type mark struct{ kind, text string }

func (m mark) hash() int64 {
	h := fnv.New64a()
	h.Write([]byte(m.kind))
	h.Write([]byte{0})
	h.Write([]byte(m.text))
	return int64(h.Sum64())
}

// claimName is a name as every database keeps it in a key.
func claimName(text string) string {
	const most = 500
	if text = clean(text); len(text) > most {
		return finding.Fingerprint(text)
	}
	return text
}

const maxClaims = 20 // of one finding

// claimsOf is what a finding says is wrong, as far as another tool could say it too.
func claimsOf(f *finding.Finding) (claims []claim) {
	target := f.ProductFields[finding.FieldTarget]
	if hash := f.ProductFields[finding.FieldSecret]; hash != "" {
		return []claim{{marks: []mark{{TieSecret, hash}}}}
	}
	if len(f.Vulnerabilities) > 0 && target != "" {
		return vulnerabilityClaims(f, target)
	}
	weaknesses := weaknessesOf(f)
	if target == "" || len(weaknesses) == 0 {
		return nil
	}
	if p := f.Place(); p.File != "" {
		c := claim{}
		for _, w := range weaknesses {
			if p.Line > 0 {
				c.marks = append(c.marks, mark{TieWeakness, strings.Join([]string{w, target, p.File, f.ProductFields[finding.FieldLine]}, "\n")})
			}
			for _, r := range routesOf(f) {
				c.marks = append(c.marks, mark{TieRoute, strings.Join([]string{w, target, r}, "\n")})
			}
		}
		if len(c.marks) == 0 {
			return nil
		}
		return []claim{c}
	}
	for _, a := range addressesOf(f) {
		c := claim{name: a.claim()}
		for _, w := range weaknesses {
			c.marks = append(c.marks, mark{TieWeakness, strings.Join([]string{w, target, a.path, a.param}, "\n")})
			for _, r := range a.routes() {
				c.marks = append(c.marks, mark{TieRoute, strings.Join([]string{w, target, r}, "\n")})
			}
		}
		claims = append(claims, c)
	}
	return claims
}

// schemes are the names of vulnerabilities that two databases may have for one. Advisories that speak of
// several (USN, RHSA, DSA …) are not among them.
var schemes = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(CVE|GHSA|PYSEC|GO|RUSTSEC|SNYK|MAL|OSV|RSEC|HSEC|GMS)-`)
})

func vulnerabilityClaims(f *finding.Finding, target string) (claims []claim) {
	for _, v := range f.Vulnerabilities[:min(len(f.Vulnerabilities), maxClaims)] {
		p := packageOf(f, &v)
		if p.name == "" {
			continue
		}
		c := claim{}
		if len(f.Vulnerabilities) > 1 {
			c.name = claimName(v.ID)
		}
		for _, id := range namesOf(&v) {
			c.marks = append(c.marks, mark{TieVulnerability, strings.Join([]string{id, p.name, target}, "\n")})
		}
		if len(c.marks) > 0 {
			claims = append(claims, c)
		}
	}
	return claims
}

// namesOf are the names that a vulnerability goes by. Where there are several of one database, these are
// relatives rather than names: one vulnerability has one of each.
func namesOf(v *finding.Vulnerability) (names []string) {
	count := map[string]int{}
	for _, id := range append([]string{v.ID}, v.Related...) {
		id = strings.ToUpper(strings.TrimSpace(id))
		scheme, _, _ := strings.Cut(id, "-")
		if schemes().MatchString(id) && !slices.Contains(names, id) {
			count[scheme]++
			names = append(names, id)
		}
	}
	own := strings.ToUpper(strings.TrimSpace(v.ID))
	return slices.DeleteFunc(names, func(id string) bool {
		scheme, _, _ := strings.Cut(id, "-")
		return count[scheme] > 1 && id != own
	})
}

// parcel is a package: its name alone, what the name stands in (a group, a scope, a path), and its version.
type parcel struct{ space, name, version string }

var dashes = strings.NewReplacer("_", "-", ".", "-")

// packageOf is the package that a vulnerability is in, as far as the finding says. Tools write one package
// as group:name, group/name or name alone, a version with and without a v, a jar with its file's name.
func packageOf(f *finding.Finding, v *finding.Vulnerability) (p parcel) {
	full, version := f.ProductFields[finding.FieldPackage], f.ProductFields[finding.FieldInstalled]
	if len(v.Packages) == 1 {
		full, version = or(v.Packages[0].Name, full), or(v.Packages[0].Version, version)
	}
	if purl := f.ProductFields["haechi/purl"]; strings.HasPrefix(purl, "pkg:") {
		rest, _, _ := strings.Cut(strings.TrimPrefix(purl, "pkg:"), "?")
		rest, _, _ = strings.Cut(rest, "#")
		_, rest, _ = strings.Cut(rest, "/") // the type of package
		if at := strings.LastIndexByte(rest, '@'); at > 0 {
			version, rest = or(version, rest[at+1:]), rest[:at]
		}
		if plain, err := url.PathUnescape(rest); err == nil && rest != "" {
			full = plain
		}
	}
	full = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(full)), ":", "/")
	p.space, p.name = path.Split(strings.Trim(full, "/"))
	p.space, p.name = dashes.Replace(strings.Trim(p.space, "/")), dashes.Replace(p.name)
	if version != "*" {
		if plain, err := url.PathUnescape(version); err == nil {
			version = plain
		}
		p.version = strings.TrimPrefix(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(version), "=")), "v")
	}
	if strings.ContainsAny(p.version, "<>|, ") {
		p.version = "" // a range, or several
	}
	return p
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// vague weaknesses are those that are a whole chapter of the list: two findings that have one in common
// at a line need not say the same.
var vague = []string{"CWE-16", "CWE-17", "CWE-18", "CWE-19", "CWE-20", "CWE-254", "CWE-255", "CWE-264", "CWE-275", "CWE-284", "CWE-310", "CWE-388", "CWE-399", "CWE-435", "CWE-657", "CWE-664", "CWE-682",
	"CWE-691", "CWE-693", "CWE-697", "CWE-703", "CWE-707", "CWE-710", "CWE-1035", "CWE-937"}

func weaknessesOf(f *finding.Finding) (all []string) {
	for w := range strings.SplitSeq(f.ProductFields[finding.FieldCWE], ",") {
		if w = strings.TrimSpace(w); strings.HasPrefix(w, "CWE-") && !slices.Contains(vague, w) && len(all) < 8 {
			all = append(all, w)
		}
	}
	return all
}

// address is what a scanner of a running site speaks of.
type address struct{ path, param string }

func (a address) claim() string { return claimName(a.path + "?" + a.param) }

// addressesOf are the addresses that a finding is about, each once.
func addressesOf(f *finding.Finding) (all []address) {
	places := strings.Fields(f.ProductFields["haechi/places"])
	if len(places) == 0 {
		for _, r := range f.Resources {
			places = append(places, r.ID)
		}
	}
	for _, p := range places {
		if method, rest, ok := strings.Cut(p, ":"); ok && strings.ToUpper(method) == method {
			p = rest
		}
		u, err := url.Parse(p)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Contains(p, "…") {
			continue
		}
		a := address{path.Clean("/" + u.Path), or(f.ProductFields["haechi/report/parameter"], parameterOf(u.RawQuery))}
		if !slices.Contains(all, a) && len(all) < maxClaims {
			all = append(all, a)
		}
	}
	return all
}

// parameterOf is the one parameter that a query names.
func parameterOf(query string) string {
	if query == "" || strings.ContainsAny(query, "&;") {
		return ""
	}
	name, _, _ := strings.Cut(query, "=")
	if plain, err := url.QueryUnescape(name); err == nil {
		return plain
	}
	return name
}

// number is a part of a path that stands for a thing rather than for a route.
var numberPart = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([0-9]+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-f]{24,}|«[^»]*»)$`)
})

// routes are the routes that may answer at an address: as it is written, and with * for what is a number.
func (a address) routes() []string {
	if a.path == "/" {
		return nil // whatever stands there
	}
	parts := strings.Split(a.path, "/")
	for i, p := range parts {
		if numberPart().MatchString(p) {
			parts[i] = "*"
		}
	}
	if general := strings.Join(parts, "/"); general != a.path {
		return []string{general}
	}
	return []string{a.path}
}

var (
	// quotedPath is a path as code writes a route: quoted, from the root, with nothing that no path has.
	quotedPath = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile("[\"'`](/[A-Za-z0-9_~.:<>{}\\[\\]()*?$/-]{1,200})[\"'`]")
	})
	// routePart is a part of a route that stands for any: :id, {id}, <int:id>, [id], *.
	routePart = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(:[A-Za-z_][A-Za-z0-9_]*\??(\([^)]*\))?|\{[^}]*\}|<[^>]*>|\[[^\]]*\]|\*)$`)
	})
)

// routesOf are the routes that a finding's code answers at: those that are written in its excerpt, and for
// languages whose files are pages the file's own path below the site's root.
func routesOf(f *finding.Finding) (routes []string) {
	add := func(r string) {
		if r = path.Clean(r); r != "/" && !slices.Contains(routes, r) && len(routes) < 8 {
			routes = append(routes, r)
		}
	}
	for _, m := range quotedPath().FindAllStringSubmatch(f.ProductFields[finding.FieldExcerpt], 8) {
		parts := strings.Split(m[1], "/")
		for i, p := range parts {
			if routePart().MatchString(p) {
				parts[i] = "*"
			}
		}
		add(strings.Join(parts, "/"))
	}
	if r := pageOf(f.Place().File); r != "" {
		add(r)
	}
	return routes
}

// roots are the folders that sites are served from.
var roots = []string{"", "src", "public", "www", "web", "webroot", "htdocs", "html", "public_html", "app/webroot", "src/main/webapp", "WebContent", "wwwroot"}

// pageOf is the address of a file that is a page of its own, as in PHP, JSP and ASP; "" is none.
func pageOf(file string) string {
	switch strings.ToLower(path.Ext(file)) {
	case ".php", ".jsp", ".jspx", ".asp", ".aspx", ".cfm":
	default:
		return ""
	}
	best := "/" + file
	for _, root := range roots[1:] {
		if rest, ok := strings.CutPrefix(file, root+"/"); ok && len(rest)+1 < len(best) {
			best = "/" + rest
		}
	}
	return best
}
