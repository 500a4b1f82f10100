package sigma_test

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"go.yaml.in/yaml/v4"
)

// A reference reads a rule the slow and plain way: maps, and a condition rewritten
// into truth values. It understands what the published rules for AWS use.
type reference struct {
	searches  map[string]any
	condition string
}

func newReference(t *testing.T, text []byte) reference {
	t.Helper()
	var rule struct{ Detection map[string]any }
	if err := yaml.Load(text, &rule); err != nil {
		t.Fatal(err)
	}
	condition, ok := rule.Detection["condition"].(string)
	if !ok {
		t.Fatalf("condition %v", rule.Detection["condition"])
	}
	delete(rule.Detection, "condition")
	return reference{rule.Detection, condition}
}

var quantified = regexp.MustCompile(`\b(1|all) of (\S+?)(\)|\s|$)`)

// holds replaces each search by T or F, and then reduces the text.
func (r reference) holds(event map[string]any) bool {
	text := quantified.ReplaceAllStringFunc(r.condition, func(s string) string {
		m := quantified.FindStringSubmatch(s)
		var names []string
		for name := range r.searches {
			if ok, _ := path.Match(m[2], name); ok || m[2] == "them" {
				names = append(names, name)
			}
		}
		return "(" + strings.Join(names, map[string]string{"1": " or ", "all": " and "}[m[1]]) + ")" + m[3]
	})
	text = " " + strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text) + " "
	for name, search := range r.searches {
		value := " F "
		if refSearch(search, event) {
			value = " T "
		}
		for strings.Contains(text, " "+name+" ") {
			text = strings.ReplaceAll(text, " "+name+" ", value)
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	steps := [][2]string{{"( T )", "T"}, {"( F )", "F"}, {"not T", "F"}, {"not F", "T"}, {"T and T", "T"}, {"T and F", "F"}, {"F and T", "F"}, {"F and F", "F"}}
	last := [][2]string{{"T or T", "T"}, {"T or F", "T"}, {"F or T", "T"}, {"F or F", "F"}}
	for before := ""; before != text; {
		before = text
		for _, s := range steps {
			if strings.Contains(text, s[0]) {
				text = strings.Replace(text, s[0], s[1], 1)
				break
			}
		}
		if before != text {
			continue
		}
		for _, s := range last {
			if strings.Contains(text, s[0]) {
				text = strings.Replace(text, s[0], s[1], 1)
				break
			}
		}
	}
	if text != "T" && text != "F" {
		panic(r.condition + " became " + text)
	}
	return text == "T"
}

func refSearch(search any, event map[string]any) bool {
	switch s := search.(type) {
	case []any:
		return slices.ContainsFunc(s, func(x any) bool { return refSearch(x, event) })
	case map[string]any:
		for key, want := range s {
			if !refField(key, want, event) {
				return false
			}
		}
		return true
	}
	panic(fmt.Sprintf("keywords: %v", search))
}

func refField(key string, want any, event map[string]any) bool {
	field, mods, _ := strings.Cut(key, "|")
	have := refValues(event, strings.Split(field, "."))
	list, ok := want.([]any)
	if !ok {
		list = []any{want}
	}
	one := func(w any) bool {
		if w == nil {
			return len(have) == 0 || slices.Contains(have, nil)
		}
		if strings.Contains(mods, "fieldref") {
			for _, o := range refValues(event, strings.Split(fmt.Sprint(w), ".")) {
				if slices.ContainsFunc(have, func(h any) bool { return o != nil && h != nil && strings.EqualFold(refText(h), refText(o)) }) {
					return true
				}
			}
			return false
		}
		re := refPattern(fmt.Sprint(w), mods)
		return slices.ContainsFunc(have, func(h any) bool { return h != nil && re.MatchString(refText(h)) })
	}
	if strings.Contains(mods, "all") {
		return !slices.ContainsFunc(list, func(w any) bool { return !one(w) })
	}
	return slices.ContainsFunc(list, one)
}

func refPattern(w, mods string) *regexp.Regexp {
	if mods == "re" {
		return regexp.MustCompile(w)
	}
	quoted := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(w))
	begin, end := "^", "$"
	if strings.Contains(mods, "contains") {
		begin, end = "", ""
	}
	if strings.Contains(mods, "startswith") {
		end = ""
	}
	if strings.Contains(mods, "endswith") {
		begin = ""
	}
	return regexp.MustCompile("(?is)" + begin + quoted + end)
}

func refValues(v any, path []string) []any {
	switch x := v.(type) {
	case []any:
		var all []any
		for _, e := range x {
			all = append(all, refValues(e, path)...)
		}
		if len(x) == 0 && len(path) == 0 {
			return []any{x}
		}
		return all
	case map[string]any:
		if len(path) == 0 {
			return []any{x}
		}
		member, ok := x[path[0]]
		if !ok {
			return nil
		}
		return refValues(member, path[1:])
	}
	if len(path) > 0 {
		return nil
	}
	return []any{v}
}

func refText(v any) string {
	switch v.(type) {
	case map[string]any, []any:
		b, _ := json.Marshal(v, json.Deterministic(true))
		return string(b)
	}
	return fmt.Sprint(v)
}

// compareWithReference holds all published rules for AWS against records, as Haechi does and as the reference does: real ones, and
// such as are made of the rules' own values, whole, cut, or with one member too few.
func compareWithReference(t *testing.T) (rules, agree int) {
	data := testdata(t, "detection/sigma/rules/cloud/aws")
	records := cloudtrail(t)
	random := rand.New(rand.NewPCG(1, 2))
	names, err := fs.Glob(data, "*/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(data, name)
		if err != nil {
			t.Fatal(err)
		}
		rules++
		if compareRule(t, name, text, records, random) {
			agree++
		}
	}
	return rules, agree
}

func compareRule(t *testing.T, name string, text []byte, records []string, random *rand.Rand) (same bool) {
	ref, set := newReference(t, text), compile(t, string(text))
	e := set.Event()
	all := slices.Clone(records)
	for range 150 {
		all = append(all, invent(ref, random))
	}
	held := 0
	for _, r := range all {
		var event map[string]any
		if err := json.Unmarshal([]byte(r), &event); err != nil {
			t.Fatalf("%s: %v", r, err)
		}
		if err := e.Read(r); err != nil {
			t.Fatal(err)
		}
		want, got := ref.holds(event), len(set.Match("aws.cloudtrail", e)) == 1
		if want != got {
			t.Errorf("%s: got %v, want %v for %s", name, got, want, r)
			return false
		}
		if got {
			held++
		}
	}
	if held == 0 || held == len(all) {
		t.Errorf("%s holds for %d of %d records: that proves nothing", name, held, len(all))
	}
	return held > 0 && held < len(all)
}

// invent makes a record of values that a rule asks for, of some of its searches.
func invent(r reference, random *rand.Rand) string {
	event := map[string]any{"other": 1}
	for _, name := range slices.Sorted(maps.Keys(r.searches)) {
		filter := strings.HasPrefix(name, "filter")
		if filter != (random.IntN(5) == 0) && random.IntN(8) > 0 && filter {
			continue
		}
		s := r.searches[name]
		if list, ok := s.([]any); ok {
			s = list[random.IntN(len(list))]
		}
		fields, ok := s.(map[string]any)
		if !ok {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(fields)) {
			if random.IntN(12) > 0 {
				set(event, key, fields[key], random)
			}
		}
	}
	text, err := json.Marshal(event, json.Deterministic(true))
	if err != nil {
		panic(err)
	}
	return string(text)
}

// set gives a field a value that fits, or nearly.
func set(event map[string]any, key string, want any, random *rand.Rand) {
	field, mods, _ := strings.Cut(key, "|")
	text := ""
	if list, ok := want.([]any); ok && strings.Contains(mods, "all") {
		for _, w := range list {
			text += fmt.Sprint(w)
		}
	} else {
		if ok {
			want = list[random.IntN(len(list))]
		}
		text = fmt.Sprint(want)
	}
	if mods == "re" {
		text = strings.NewReplacer(".+", "x", `\`, "").Replace(text)
	}
	text = strings.ReplaceAll(text, "*", "y")
	switch random.IntN(14) {
	case 0:
		text = strings.ToUpper(text)
	case 1:
		text += "z"
	case 2:
		text = "z" + text
	}
	var value any = text
	if random.IntN(8) == 0 {
		value = []any{"q", text}
	}
	if want == nil {
		value = nil
	}
	at := event
	parts := strings.Split(field, ".")
	for _, p := range parts[:len(parts)-1] {
		next, ok := at[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[p] = next
		}
		at = next
	}
	at[parts[len(parts)-1]] = value
}
