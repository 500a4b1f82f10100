package wire

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
)

// A Model is what AWS says of one service: its protocol, its operations and
// the shapes of what goes in and out. It is read from a table that was trimmed
// from botocore's model of the service, and does not change.
type Model struct {
	Notice      string                `json:"notice"`
	Version     string                `json:"version"`
	Protocol    Protocol              `json:"protocol"`
	JSONVersion string                `json:"json,omitzero"`
	Target      string                `json:"target,omitzero"` // prefix of X-Amz-Target
	Signing     string                `json:"signing"`         // name in the credential scope
	Namespace   string                `json:"namespace,omitzero"`
	Operations  map[string]*Modelled  `json:"operations"`
	Shapes      map[string]*modelType `json:"shapes"`

	routes func() ([]route, error)
}

// A Protocol is how a service writes its calls and answers.
type Protocol string

// The protocols that are spoken here.
const (
	JSON     Protocol = "json"
	RestJSON Protocol = "rest-json"
	Query    Protocol = "query"
)

// Modelled is one operation of a service's model.
type Modelled struct {
	Method  string   `json:"method"`
	URI     string   `json:"uri"`
	Input   string   `json:"in,omitzero"`
	Output  string   `json:"out,omitzero"`
	Wrapper string   `json:"wrapper,omitzero"` // element around the answer, in query
	Errors  []string `json:"errors,omitzero"`
	Open    bool     `json:"open,omitzero"` // called without a signature
}

// modelType is a shape. Members keep the order of the model.
type modelType struct {
	Type     string   `json:"t"`
	Members  []member `json:"members,omitzero"`
	Required []string `json:"required,omitzero"`
	Element  *member  `json:"element,omitzero"` // of a list
	Key      *member  `json:"key,omitzero"`     // of a map
	Value    *member  `json:"value,omitzero"`
	Flat     bool     `json:"flat,omitzero"`
	Enum     []string `json:"enum,omitzero"`
	Min      *float64 `json:"min,omitzero"`
	Max      *float64 `json:"max,omitzero"`
	Pattern  string   `json:"pattern,omitzero"`
	Format   string   `json:"format,omitzero"` // of a timestamp
	Union    bool     `json:"union,omitzero"`
	Document bool     `json:"document,omitzero"`
	Payload  string   `json:"payload,omitzero"`
	Code     string   `json:"code,omitzero"`   // of an error, where it is not its name
	Status   int      `json:"status,omitzero"` // of an error
	Fault    bool     `json:"fault,omitzero"`  // an error that is the server's

	index   map[string]int // wire name to member
	pattern func() func(string) bool
}

type member struct {
	Name  string `json:"name,omitzero"`
	Shape string `json:"shape"`
	In    string `json:"at,omitzero"` // uri, querystring, header, headers, statusCode, or "" for the body
	As    string `json:"as,omitzero"` // name on the wire, where it is another
}

// wire is the member's name as it goes over the wire.
func (m *member) wire() string {
	if m.As != "" {
		return m.As
	}
	return m.Name
}

// ReadModel reads a service's table, as it lies beside the service's package.
func ReadModel(table []byte) (*Model, error) {
	m := &Model{}
	if err := json.Unmarshal(table, m, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("reading the model: %w", err)
	}
	switch m.Protocol {
	case JSON, RestJSON, Query:
	default:
		return nil, fmt.Errorf("reading the model of %s: protocol %q is not spoken here", m.Signing, m.Protocol)
	}
	for name, s := range m.Shapes {
		if err := m.prepare(s); err != nil {
			return nil, fmt.Errorf("reading the model of %s: shape %s: %w", m.Signing, name, err)
		}
	}
	for name, o := range m.Operations {
		for _, shape := range append([]string{o.Input, o.Output}, o.Errors...) {
			if shape != "" && m.Shapes[shape] == nil {
				return nil, fmt.Errorf("reading the model of %s: operation %s: no shape %s", m.Signing, name, shape)
			}
		}
	}
	m.routes = sync.OnceValues(func() ([]route, error) { return routesOf(m) })
	return m, nil
}

// MustModel is ReadModel for a table that is embedded in the program: only our
// own mistake can make it panic, and the service's tests find that first.
func MustModel(table []byte) *Model {
	m, err := ReadModel(table)
	if err != nil {
		panic(err)
	}
	return m
}

func (m *Model) prepare(s *modelType) error {
	s.index = make(map[string]int, len(s.Members))
	refs := make([]*member, 0, len(s.Members)+3)
	for i := range s.Members {
		s.index[s.Members[i].wire()] = i
		refs = append(refs, &s.Members[i])
	}
	for _, ref := range append(refs, s.Element, s.Key, s.Value) {
		if ref != nil && m.Shapes[ref.Shape] == nil {
			return fmt.Errorf("no shape %s", ref.Shape)
		}
	}
	// Most patterns are never asked, so each is compiled when it first is.
	s.pattern = sync.OnceValue(func() func(string) bool {
		if s.Pattern == `.*\S.*` { // by far the most frequent, and slow as an expression
			return func(text string) bool { return strings.Trim(text, "\t\n\f\r ") != "" }
		}
		re, err := compile(s.Pattern)
		if err != nil {
			return func(string) bool { return true } // the table's own test wants every pattern to compile
		}
		return re.MatchString
	})
	return nil
}

// compile makes a model's pattern one of Go's. It must match the whole text,
// and a dot any character, as the services have it.
func compile(pattern string) (*regexp.Regexp, error) {
	return regexp.Compile(`(?s)^(?:` + javaEscapes(pattern) + `)$`)
}

// javaEscapes writes \uXXXX as Go does.
func javaEscapes(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		switch {
		case p[i] == '\\' && i+5 < len(p) && p[i+1] == 'u':
			b.WriteString(`\x{` + p[i+2:i+6] + `}`)
			i += 5
		case p[i] == '\\' && i+1 < len(p):
			b.WriteString(p[i : i+2])
			i++
		default:
			b.WriteByte(p[i])
		}
	}
	return b.String()
}

// errorShape is the modelled error with that code, or nil.
func (m *Model) errorShape(code string) *modelType {
	if s := m.Shapes[code]; s != nil && (s.Code == "" || s.Code == code) {
		return s
	}
	for _, s := range m.Shapes {
		if s.Code == code {
			return s
		}
	}
	return nil
}
