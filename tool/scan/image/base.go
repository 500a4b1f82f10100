package image

import (
	"cmp"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Base is what is known of the image that another was built on.
type Base struct {
	Name   string // what the image itself, or who asks, calls it
	Digest string // of its manifest, where the image says it
	Layers int    // how many of the lowest layers are its
	How    string // how they are known: compared, guessed by the history, or not at all
}

// How a base is known.
const (
	Compared = "its layers are the base's"
	Guessed  = "guessed by the history"
	Unknown  = ""
)

// Unnamed is what a base is called that the history shows, and nothing names.
const Unnamed = "without a name"

// Base is what the image says of its base, and where its history shows that it
// ends: an image that is built on another has that one's last words, CMD or
// ENTRYPOINT, in the middle of its own.
func (img *Image) Base() Base {
	const name, digest = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
	b := Base{Name: cmp.Or(img.Annotations[name], img.Config.Labels[name]), Digest: cmp.Or(img.Annotations[digest], img.Config.Labels[digest])}
	if len(img.Layers) > 0 && img.Layers[0].Base != "" {
		b.Name = img.Layers[0].Base
		b.Layers = slices.IndexFunc(img.Layers, func(l *Layer) bool { return l.Base == "" })
		if b.Layers < 0 {
			b.Layers = len(img.Layers)
		}
		if b.How = Compared; img.assumed {
			b.How = Guessed
		}
		return b
	}
	if b.Layers = img.guess(); b.Layers > 0 {
		b.How = Guessed
	}
	return b
}

// guess is how many layers lie below the last CMD that is followed by more layers.
func (img *Image) guess() int {
	layers, n := 0, 0
	for _, s := range img.Config.History {
		if s.Layer >= 0 {
			n = s.Layer + 1
			continue
		}
		if c := command(s.Command); (strings.HasPrefix(c, "CMD ") || strings.HasPrefix(c, "ENTRYPOINT ")) && n < len(img.Layers) {
			layers = n
		}
	}
	return layers
}

// BasedOn says of the layers of img which are base's, which is called name. It
// is an error if img does not begin with all of them.
func (img *Image) BasedOn(base *Image, name string) error {
	if len(base.Layers) == 0 {
		return fault.Invalid.Errorf("%s has no layers that anything could be built on", name)
	}
	for i, l := range base.Layers {
		if i >= len(img.Layers) || img.Layers[i].DiffID != l.DiffID {
			return fault.Invalid.Errorf("the image is not built on %s as it is now: of its %d layers the first %d are the same", name, len(base.Layers), i)
		}
	}
	for i := range base.Layers {
		img.Layers[i].Base = name
	}
	return nil
}

// Assume takes the base for what Base guesses. It tells whether there is a guess.
func (img *Image) Assume() bool {
	b := img.Base()
	for i := range b.Layers {
		img.Layers[i].Base, img.assumed = cmp.Or(b.Name, Unnamed), true
	}
	return b.Layers > 0
}

// Mended is what a newer base does to the vulnerabilities of an image.
type Mended struct {
	Newer  string
	Before int // vulnerabilities that the base brings
	Gone   int // of these, those that the newer one does not have
	Left   int
	Fresh  int // those that the newer one has and the base has not
}

// Mend compares the vulnerabilities that the base brought with those of newer,
// which is called name, and says of each finding that it would mend that it
// would. Both are results of the same scanners.
func Mend(result *scan.Result, newer scan.Result, name string) Mended {
	m := Mended{Newer: name}
	has, had := map[string]bool{}, map[string]bool{}
	for _, run := range newer.Runs {
		for _, f := range run.Findings {
			if key := bug(f); key != "" {
				has[key] = true
			}
		}
	}
	for _, run := range result.Runs {
		for _, f := range run.Findings {
			key := bug(f)
			if key == "" || f.ProductFields[finding.FieldBase] == "" {
				continue
			}
			had[key] = true
			m.Before++
			if has[key] {
				m.Left++
				continue
			}
			m.Gone++
			f.ProductFields[finding.FieldNewerBase] = name
			if r := f.Remediation; r != nil && r.Recommendation != nil {
				r.Recommendation.Text = finding.Shorten("Build on "+name+", which does not have it. Or: "+r.Recommendation.Text, 512)
			}
		}
	}
	for key := range has {
		if !had[key] {
			m.Fresh++
		}
	}
	return m
}

// bug is what tells a vulnerability of a package from others, in whatever version and file; "" for other findings.
func bug(f finding.Finding) string {
	if len(f.Vulnerabilities) == 0 || f.ProductFields[finding.FieldPackage] == "" {
		return ""
	}
	return f.GeneratorID + "\x00" + f.ProductFields[finding.FieldPackage]
}
