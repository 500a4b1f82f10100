package licence_test

import (
	"testing"

	"github.com/haechi-dev/haechi/base/licence"
)

// Expressions are read, spelled as SPDX does, and refused where they are none.
func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"MIT": "MIT", "mit": "MIT", "(mit OR apache-2.0) AND bsd-3-clause": "(MIT OR Apache-2.0) AND BSD-3-Clause", "GPL-2.0-only WITH classpath-exception-2.0": "GPL-2.0-only WITH Classpath-exception-2.0",
		"MIT OR Apache-2.0 AND ISC": "MIT OR Apache-2.0 AND ISC", "LicenseRef-ours": "LicenseRef-ours", "EPL-1.0+": "EPL-1.0+",
	} {
		e, err := licence.Parse(text)
		if err != nil || e.String() != want {
			t.Errorf("%q gives %q, %v, want %q", text, e, err, want)
		}
	}
	for _, text := range []string{"", "MIT OR", "(MIT", "MIT)", "AND", "MIT Apache", "a b c", "MIT WITH"} {
		if e, err := licence.Parse(text); err == nil {
			t.Errorf("%q gives %q", text, e)
		}
	}
}

// Names as people write them stand for SPDX's.
func TestNormal(t *testing.T) {
	for name, want := range map[string]string{
		"Apache License, Version 2.0": "Apache-2.0", "The Apache Software License, Version 2.0": "Apache-2.0", "Apache 2.0": "Apache-2.0", "Apache-2.0": "Apache-2.0", "MIT License": "MIT", "The MIT License (MIT)": "MIT", "MIT/Apache-2.0": "MIT OR Apache-2.0",
		"BSD 3-Clause": "BSD-3-Clause", "New BSD License": "BSD-3-Clause", "GPLv3": "GPL-3.0-only", "GPL-2.0+": "GPL-2.0+", "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later", "GNU Lesser General Public License v2.1": "LGPL-2.1-only", "Eclipse Public License 2.0": "EPL-2.0",
		"Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "https://opensource.org/licenses/MIT": "MIT", "Our Own": "Our Own", "(MIT OR WTFPL)": "MIT OR WTFPL", "Python Software Foundation License": "PSF-2.0", "GNU AFFERO GPL 3.0": "AGPL-3.0-only",
		"Common Development and Distribution License 1.0": "CDDL-1.0",
	} {
		if got := licence.Normal(name); got != want {
			t.Errorf("%q gives %q, want %q", name, got, want)
		}
	}
}

// What a choice asks for is its mildest part, what holds together its most demanding.
func TestKind(t *testing.T) {
	for text, want := range map[string]licence.Kind{"MIT": licence.Permissive, "GPL-3.0-only OR MIT": licence.Permissive, "GPL-3.0-only AND MIT": licence.Strong, "AGPL-3.0-only": licence.Network, "MPL-2.0": licence.Weak,
		"GPL-2.0-only WITH Classpath-exception-2.0": licence.Weak, "BUSL-1.1": licence.Restricted, "LicenseRef-x": licence.Other} {
		e, err := licence.Parse(text)
		if err != nil || e.Kind() != want {
			t.Errorf("%s is %s, %v, want %s", text, e.Kind(), err, want)
		}
	}
}

const mit = `Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
`

// A licence is known by its text, whatever stands around it and however it is wrapped.
func TestIdentify(t *testing.T) {
	for _, text := range []string{mit, "# My project\n\nIt does things.\n\n## Licence\n\n> " + mit} {
		found := licence.Identify([]byte(text))
		if len(found) != 1 || found[0].ID != "MIT" {
			t.Errorf("got %v", found)
		}
	}
	if found := licence.Identify([]byte("All rights reserved. You may look at it.")); len(found) != 0 {
		t.Errorf("got %v", found)
	}
}

// Any text is an expression or not, and its String is one that means the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"MIT", "(A OR B) AND C WITH D", "Apache License, Version 2.0", "GPL-2.0+"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_ = licence.Normal(text)
		licence.Identify([]byte(text))
		e, err := licence.Parse(text)
		if err != nil {
			return
		}
		again, err := licence.Parse(e.String())
		if err != nil || again.String() != e.String() {
			t.Errorf("%q is %q, and that is %q, %v", text, e, again, err)
		}
		_ = e.Kind()
	})
}
