package secret

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

// mostPlaces is how many bytes of places a finding lists: its format allows 2,048 in a field.
const mostPlaces = 2000

// gathered are the findings of a tree by fingerprint: one secret in ten places is one finding.
type gathered map[string][]finding.Finding

func (g gathered) add(findings ...finding.Finding) {
	for _, f := range findings {
		key := f.ProductFields[finding.FieldFingerprint]
		g[key] = append(g[key], f)
	}
}

// Merge makes one finding of those of the same secret, with all its places.
func Merge(findings []finding.Finding) []finding.Finding {
	g := gathered{}
	g.add(findings...)
	return g.merged()
}

func (g gathered) merged() []finding.Finding {
	all := make([]finding.Finding, 0, len(g))
	for _, key := range slices.Sorted(maps.Keys(g)) {
		all = append(all, merge(g[key]))
	}
	return all
}

// merge is the worst of the findings of one secret, with the places of all.
// Only where every place asks for leave does the whole.
func merge(same []finding.Finding) finding.Finding {
	if len(same) == 1 {
		return same[0]
	}
	slices.SortStableFunc(same, func(a, b finding.Finding) int {
		p, q := a.Place(), b.Place()
		return cmp.Or(b.Label().Rank()-a.Label().Rank(), confidence(b)-confidence(a), strings.Compare(p.File, q.File), p.Line-q.Line, strings.Compare(a.GeneratorID, b.GeneratorID))
	})
	first := same[0]
	first.ProductFields = maps.Clone(first.ProductFields)
	var places []string
	for _, f := range same {
		places = append(places, placesOf(f)...)
		if _, asks := f.ProductFields[finding.FieldAllow]; !asks {
			delete(first.ProductFields, finding.FieldAllow)
		}
	}
	setPlaces(&first, places)
	return first
}

func confidence(f finding.Finding) int {
	if f.Confidence == nil {
		return 0
	}
	return *f.Confidence
}

// placesOf are the places that a finding lists, or its only one.
func placesOf(f finding.Finding) []string {
	if list := f.ProductFields[finding.FieldPlaces]; list != "" {
		return strings.Fields(list)
	}
	p := f.Place()
	return []string{placeText(p.File, p.Line)}
}

// placeText is a place without blanks.
func placeText(file string, line int) string {
	return strings.NewReplacer("%", "%25", " ", "%20", "\n", "%0A", "\t", "%09", "\r", "%0D").Replace(file) + ":" + strconv.Itoa(line)
}

// setPlaces lists places, the finding's own first, as far as there is room.
func setPlaces(f *finding.Finding, places []string) {
	own := f.Place()
	first := placeText(own.File, own.Line)
	slices.SortFunc(places, func(a, b string) int {
		fileA, lineA := cutPlace(a)
		fileB, lineB := cutPlace(b)
		return cmp.Or(strings.Compare(fileA, fileB), lineA-lineB)
	})
	places = slices.Compact(places)
	places = slices.Insert(slices.DeleteFunc(places, func(p string) bool { return p == first }), 0, first)
	if len(places) == 1 {
		return
	}
	var b strings.Builder
	for _, p := range places {
		if b.Len()+1+len(p) > mostPlaces {
			break
		}
		b.WriteString(p + " ")
	}
	f.ProductFields[finding.FieldPlaces] = strings.TrimSpace(b.String())
	evidence, _, _ := strings.Cut(f.ProductFields[finding.FieldEvidence], "; in ")
	f.ProductFields[finding.FieldEvidence] = strings.TrimPrefix(evidence+fmt.Sprintf("; in %d places", len(places)), "; ")
}

func cutPlace(place string) (file string, line int) {
	i := strings.LastIndexByte(place, ':')
	line, _ = strconv.Atoi(place[i+1:])
	return place[:max(i, 0)], line
}

// Moved is a finding in a file as it is when the file, or the archive, has another path.
func Moved(f finding.Finding, from, to string) finding.Finding {
	f.ProductFields = maps.Clone(f.ProductFields)
	if from == to {
		return f
	}
	if rest, ok := strings.CutPrefix(f.ProductFields[finding.FieldFile], from); ok {
		f.ProductFields[finding.FieldFile] = strings.ToValidUTF8(to, "\uFFFD") + rest
	}
	var places []string
	for _, p := range strings.Fields(f.ProductFields[finding.FieldPlaces]) {
		if rest, ok := strings.CutPrefix(p, strings.TrimSuffix(placeText(from, 0), ":0")); ok {
			p = strings.TrimSuffix(placeText(to, 0), ":0") + rest
		}
		places = append(places, p)
	}
	if len(places) > 0 {
		f.ProductFields[finding.FieldPlaces] = strings.Join(places, " ")
	}
	f.Title = strings.Replace(f.Title, " in "+finding.Shorten(from, 180), " in "+finding.Shorten(to, 180), 1)
	return f
}
