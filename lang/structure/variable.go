package structure

import (
	"regexp"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/word/fault"
)

// Reference is a variable that a text asks for: #{Namespace.Key}.
type Reference struct{ Namespace, Key string }

func (r Reference) String() string { return "#{" + r.Namespace + "." + r.Key + "}" }

var reference = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`#\{([A-Za-z0-9@_-]+)\.([A-Za-z0-9@_-]+)\}`) })

// References are the variables that a text asks for, in order.
func References(text string) (all []Reference) {
	for _, m := range reference().FindAllStringSubmatch(text, -1) {
		all = append(all, Reference{m[1], m[2]})
	}
	return all
}

// The namespaces that every run has.
const (
	OwnNamespace = "codepipeline" // with ExecutionID
	OfPipeline   = "variables"    // the pipeline's own
	ExecutionID  = "PipelineExecutionId"
)

// Values are the variables of a run, by namespace and key.
type Values map[string]map[string]string

// mostResolved is how long a text may become.
const mostResolved = 1 << 20

// Resolve puts values in the place of the variables that text asks for. One that
// there is not is fault.Invalid. What is put in is not looked at again.
func (v Values) Resolve(text string) (string, error) {
	var missing *Reference
	var b strings.Builder
	last := 0
	for _, m := range reference().FindAllStringSubmatchIndex(text, -1) {
		r := Reference{text[m[2]:m[3]], text[m[4]:m[5]]}
		value, ok := v[r.Namespace][r.Key]
		if !ok && missing == nil {
			missing = &r
		}
		b.WriteString(text[last:m[0]])
		b.WriteString(value)
		last = m[1]
		if b.Len() > mostResolved {
			return "", fault.Limit.Errorf("with its variables a value has more than %d bytes", mostResolved)
		}
	}
	if missing != nil {
		return "", fault.Invalid.Errorf("there is no variable %s: the action that gives it did not run, or gave none of that name", missing)
	}
	b.WriteString(text[last:])
	return b.String(), nil
}

// ResolveAll is Resolve for every value of a map.
func (v Values) ResolveAll(all map[string]string) (map[string]string, error) {
	if len(all) == 0 {
		return nil, nil
	}
	out := make(map[string]string, len(all))
	for key, text := range all {
		value, err := v.Resolve(text)
		if err != nil {
			return nil, fault.Of(err).Errorf("%s: %w", key, err)
		}
		out[key] = value
	}
	return out, nil
}

// CheckVariable answers a VariableCheck rule whose configuration is resolved:
// whether it is met, in a sentence.
func CheckVariable(configuration map[string]string) (met bool, why string, err error) {
	got, want := configuration["Variable"], configuration["Value"]
	switch configuration["Operator"] {
	case "EQ":
		met = got == want
	case "NE":
		met = got != want
	case "CONTAINS":
		met = strings.Contains(got, want)
	case "MATCHES": // the whole of it, as Java's matches
		re, err := regexp.Compile(`\A(?:` + want + `)\z`)
		if err != nil {
			return false, "", fault.Invalid.Errorf("%q is no regular expression that is understood here: %w", want, err)
		}
		met = re.MatchString(got)
	default:
		return false, "", fault.Invalid.Errorf("there is no operator %q: EQ, NE, CONTAINS or MATCHES", configuration["Operator"])
	}
	not := ""
	if !met {
		not = "not "
	}
	return met, clip(got) + " is " + not + "as asked: " + configuration["Operator"] + " " + clip(want), nil
}

func clip(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return `"` + s + `"`
}
