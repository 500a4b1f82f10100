package licence

import "strings"

// Normal is the SPDX expression that a name stands for, as people write it:
// "Apache License, Version 2.0", "MIT/X11", "BSD". What stands for none stays.
func Normal(name string) string {
	name = strings.Join(strings.Fields(name), " ")
	if e, err := Parse(name); err == nil && e.Known() {
		return e.String()
	}
	if e, err := Parse(strings.NewReplacer(" or ", " OR ", "/", " OR ", "|", " ", ", ", " OR ").Replace(name)); err == nil && e.Known() { // (MIT OR Apache-2.0), and how crates wrote it before
		return e.String()
	}
	low := strings.ToLower(name)
	for _, noise := range []string{"the ", "license", "licence", "version", "public", "general", "software", "gnu", ",", "(", ")", "v.", "-", "_", "\"", "'", ":"} {
		low = strings.ReplaceAll(low, noise, " ")
	}
	low = " " + strings.Join(strings.Fields(strings.TrimSuffix(low, ".")), " ") + " "
	if id := byName(low); id != "" {
		return id
	}
	if id := byAddress(name); id != "" {
		return id
	}
	return name
}

// byName knows the names of the licences that most packages have, without the words that all of them share.
func byName(low string) string {
	has := func(words ...string) bool {
		for _, w := range words {
			if !strings.Contains(low, " "+w+" ") {
				return false
			}
		}
		return true
	}
	number := func(prefix string) string { // gpl 3, gpl v3, gplv3, gpl 3.0, gpl3
		for _, n := range []string{"2.1", "3.0", "2.0", "1.1", "3", "2", "1"} {
			for _, form := range []string{prefix + " " + n, prefix + " v" + n, prefix + "v" + n, prefix + n} {
				if strings.Contains(low, " "+form+" ") || strings.Contains(low, " "+form+"+ ") {
					if len(n) == 1 {
						n += ".0"
					}
					return n
				}
			}
		}
		return ""
	}
	later := "-only"
	if strings.Contains(low, "or later") || strings.Contains(low, "or newer") || strings.Contains(low, "+ ") {
		later = "-or-later"
	}
	switch {
	case has("apache") && (number("apache") == "2.0" || has("2.0") || has("2") || has("v2")), low == " asl 2.0 ", low == " apache2 ", low == " apache2.0 ", low == " al2 ":
		return "Apache-2.0"
	case low == " mit ", low == " mit mit ", low == " expat ", low == " mit expat ", low == " mit x11 ", low == " mit / x11 ", low == " mit/x11 ", low == " x11 mit ":
		return "MIT"
	case low == " new bsd ", low == " modified bsd ", low == " revised bsd ", low == " bsd new ", has("bsd", "3"), has("bsd", "3 clause"), has("3", "clause", "bsd"), low == " bsd3 ":
		return "BSD-3-Clause"
	case low == " simplified bsd ", low == " freebsd ", has("bsd", "2"), has("2", "clause", "bsd"), low == " bsd2 ":
		return "BSD-2-Clause"
	case low == " isc ", low == " iscl ", low == " isc iscl ":
		return "ISC"
	case strings.Contains(low, "affero"), number("agpl") != "":
		if n := number("agpl") + number("affero"); n != "" {
			return "AGPL-" + n + later
		}
		return "AGPL-3.0" + later
	case strings.Contains(low, "lesser"), strings.Contains(low, "library"), number("lgpl") != "":
		for _, prefix := range []string{"lgpl", "lesser", "library"} {
			if n := number(prefix); n != "" {
				return "LGPL-" + n + later
			}
		}
	case number("gpl") != "":
		n := number("gpl")
		if n == "2.1" {
			return ""
		}
		if strings.Contains(low, "classpath") {
			return "GPL-" + n + later + " WITH Classpath-exception-2.0"
		}
		return "GPL-" + n + later
	case strings.Contains(low, "mozilla"), number("mpl") != "":
		for _, prefix := range []string{"mpl", "mozilla"} {
			if n := number(prefix); n != "" {
				return "MPL-" + n
			}
		}
	case strings.Contains(low, "eclipse distribution"), strings.Contains(low, " edl "):
		return "BSD-3-Clause"
	case strings.Contains(low, "eclipse"), number("epl") != "":
		for _, prefix := range []string{"epl", "eclipse"} {
			if n := number(prefix); n != "" {
				return "EPL-" + n
			}
		}
	case strings.Contains(low, "common development"), number("cddl") != "":
		if strings.Contains(low, "1.1") {
			return "CDDL-1.1"
		}
		return "CDDL-1.0"
	case low == " python foundation ", low == " psf ", low == " psfl ", low == " psf 2.0 ":
		return "PSF-2.0"
	case low == " unlicense ", low == " un ", low == " unlicensed domain ":
		return "Unlicense"
	case low == " boost 1.0 ", low == " boost ":
		return "BSL-1.0"
	case low == " zlib ", low == " zlib/libpng ", low == " zlib libpng ":
		return "Zlib"
	case low == " wtfpl ", strings.Contains(low, "what the f"):
		return "WTFPL"
	case low == " cc0 ", low == " cc0 1.0 ", low == " cc0 1.0 universal ":
		return "CC0-1.0"
	case low == " zope ", low == " zpl 2.1 ", low == " zpl 2.1 ":
		return "ZPL-2.1"
	case low == " ruby ", low == " ruby's ":
		return "Ruby"
	case low == " artistic 2.0 ":
		return "Artistic-2.0"
	}
	return ""
}

// byAddress knows the addresses that stand for a licence in the metadata of Java and .NET packages.
func byAddress(name string) string {
	low := strings.ToLower(name)
	for part, id := range map[string]string{
		"apache.org/licenses/license-2.0": "Apache-2.0", "opensource.org/licenses/mit": "MIT", "opensource.org/license/mit": "MIT", "licenses.nuget.org/mit": "MIT", "licenses.nuget.org/apache-2.0": "Apache-2.0",
		"opensource.org/licenses/bsd-3-clause": "BSD-3-Clause", "opensource.org/licenses/bsd-2-clause": "BSD-2-Clause", "eclipse.org/legal/epl-v10": "EPL-1.0", "eclipse.org/legal/epl-2.0": "EPL-2.0", "eclipse.org/legal/epl-v20": "EPL-2.0",
		"gnu.org/licenses/lgpl-2.1": "LGPL-2.1-only", "gnu.org/licenses/old-licenses/lgpl-2.1": "LGPL-2.1-only", "gnu.org/licenses/lgpl-3.0": "LGPL-3.0-only", "gnu.org/licenses/gpl-3.0": "GPL-3.0-only", "creativecommons.org/publicdomain/zero/1.0": "CC0-1.0", "mozilla.org/mpl/2.0": "MPL-2.0",
	} {
		if strings.Contains(low, part) {
			return id
		}
	}
	return ""
}
