package sbom

import (
	"net/url"
	"strings"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/word/component"
)

// Parse reads a package URL: the component that it names, without a place.
func Parse(purl string) (component.Component, bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(purl), "pkg:")
	if !ok {
		return component.Component{}, false
	}
	rest = strings.TrimLeft(rest, "/")
	rest, _, _ = strings.Cut(rest, "#")
	rest, qualifiers, _ := strings.Cut(rest, "?")
	kind, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return component.Component{}, false
	}
	version := ""
	if i := strings.LastIndexByte(rest, '@'); i > 0 && i > strings.LastIndexByte(rest, '/') {
		rest, version = rest[:i], plain(rest[i+1:])
	}
	kind = strings.ToLower(kind)
	rest = strings.Trim(rest, "/")
	namespace, name := "", plain(rest)
	if i := strings.LastIndexByte(rest, '/'); i >= 0 {
		namespace, name = plain(rest[:i]), plain(rest[i+1:])
	}
	if kind == "" || name == "" || len(purl) > 4096 {
		return component.Component{}, false
	}
	c := component.Component{PURL: component.PURL(kind, namespace, name), Ecosystem: advisory.EcosystemOf(kind), Version: version, State: component.Resolved, Scope: component.Runtime}
	separator := "/"
	if kind == "maven" {
		separator = ":"
	}
	c.Name = strings.TrimPrefix(namespace+separator+name, separator)
	values, _ := url.ParseQuery(qualifiers) // what cannot be read is left out
	switch kind {
	case "deb", "apk", "rpm":
		c.Name = name
		c.Qualifiers = qualifiers
		ofDistribution(&c, kind, namespace, values)
	case "golang":
		c.Version = strings.TrimPrefix(version, "v")
		if subpath := c.Name; subpath == "std" || subpath == "stdlib" {
			c.Name = "stdlib"
		}
	case "pypi":
		c.Name = advisory.Normal("PyPI", c.Name)
	}
	if c.Version == "" {
		c.State = component.Unresolved
	}
	return c, true
}

// ofDistribution takes the release from the qualifier distro=debian-12, and the source package from upstream=name@version.
func ofDistribution(c *component.Component, kind, namespace string, values url.Values) {
	id, version := strings.ToLower(namespace), ""
	if distro := values.Get("distro"); distro != "" {
		if i := strings.LastIndexByte(distro, '-'); i > 0 {
			id, version = strings.ToLower(distro[:i]), distro[i+1:]
		} else {
			version = distro
		}
	}
	if kind == "rpm" {
		if epoch := values.Get("epoch"); epoch != "" && epoch != "0" && !strings.Contains(c.Version, ":") {
			c.Version = epoch + ":" + c.Version
		}
	}
	if e := advisory.Distribution(id, version); e != "" {
		c.Ecosystem = e
	}
	if upstream := values.Get("upstream"); upstream != "" {
		c.Source, c.SourceVersion, _ = strings.Cut(upstream, "@")
		if kind == "rpm" { // openssl-1.1.1k-5.el8.src.rpm
			c.Source, c.SourceVersion = "", ""
		}
	}
}

func plain(s string) string {
	if p, err := url.PathUnescape(s); err == nil {
		return strings.ToValidUTF8(p, "\uFFFD")
	}
	return s
}

// group and name are a package URL's, as documents show them apart.
func groupAndName(purl string) (group, name string) {
	_, rest, _ := strings.Cut(purl, "/")
	if i := strings.LastIndexByte(rest, '/'); i >= 0 {
		return plain(rest[:i]), plain(rest[i+1:])
	}
	return "", plain(rest)
}
