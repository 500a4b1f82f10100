package shape

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/asset"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// Most is how many bytes Read takes.
const Most = 256 << 20

// envelope is every form in which AWS hands configuration items over; the
// members that are set say which it is.
type envelope struct {
	Items    []jsontext.Value `json:"configurationItems"`
	Base     []jsontext.Value `json:"baseConfigurationItems"`
	Item     jsontext.Value   `json:"configurationItem"`
	Summary  jsontext.Value   `json:"configurationItemSummary"`
	Detail   jsontext.Value   `json:"detail"`
	Invoking string           `json:"invokingEvent"`
	Type     string           `json:"resourceType"`
}

// Read reads configuration items in any of the forms AWS has for them: one
// item, a list, a snapshot or history file, the answer of GetResourceConfigHistory
// or BatchGetResourceConfig, a change notification with the item or, where that is
// too large, its summary, the event to a rule, or the event on EventBridge. Each
// item is Completed.
func (s *Shapes) Read(name string, text []byte) ([]asset.Item, error) {
	if len(text) > Most {
		return nil, fault.Limit.Errorf("%s: larger than %d MB", name, Most>>20)
	}
	originals, err := unfold(text, 0)
	if err != nil {
		return nil, fault.Invalid.Wrap(wrong(name, text, err))
	}
	items := make([]asset.Item, 0, len(originals))
	for i, o := range originals {
		item, err := itemOf(o)
		if err != nil {
			return nil, fault.Invalid.Errorf("%s: configuration item %d: %w", name, i+1, err)
		}
		s.Complete(&item)
		items = append(items, item)
	}
	return items, nil
}

// unfold takes items out of what they came in.
func unfold(text jsontext.Value, depth int) ([]jsontext.Value, error) {
	const most = 4 // an event to a rule within an event
	if depth > most {
		return nil, errors.New("items are wrapped too deep")
	}
	if text.Kind() == '[' {
		var list []jsontext.Value
		err := json.Unmarshal(text, &list)
		return list, err
	}
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, err
	}
	switch {
	case e.Type != "":
		return []jsontext.Value{text}, nil
	case e.Items != nil:
		return e.Items, nil
	case e.Base != nil:
		return e.Base, nil
	case e.Item.Kind() == '{':
		return []jsontext.Value{e.Item}, nil
	case e.Summary.Kind() == '{':
		return []jsontext.Value{e.Summary}, nil
	case e.Invoking != "":
		return unfold(jsontext.Value(e.Invoking), depth+1)
	case e.Detail.Kind() == '{':
		return unfold(e.Detail, depth+1)
	}
	return nil, errors.New("no configuration item: there is neither resourceType nor configurationItems")
}

func wrong(name string, text []byte, err error) error {
	var s *jsontext.SyntacticError
	if errors.As(err, &s) {
		return diag.Errorf(diag.At(name, text, int(s.ByteOffset)), "not JSON: %v", s.Err).In(text)
	}
	var m *json.SemanticError
	if errors.As(err, &m) {
		return diag.Errorf(diag.At(name, text, int(m.ByteOffset)), "%s is not of the kind that a configuration item has there", m.JSONPointer).In(text)
	}
	return diag.Errorf(diag.Place{File: name}, "%v", err)
}

// item is a configuration item in both spellings.
type item struct {
	ARN1      string            `json:"arn"`
	ARN2      string            `json:"ARN"`
	Account1  string            `json:"accountId"`
	Account2  string            `json:"awsAccountId"`
	Region    string            `json:"awsRegion"`
	Type      string            `json:"resourceType"`
	ID        string            `json:"resourceId"`
	Name      string            `json:"resourceName"`
	Status    string            `json:"configurationItemStatus"`
	Captured  jsontext.Value    `json:"configurationItemCaptureTime"`
	State     jsontext.Value    `json:"configurationStateId"`
	TagValues map[string]string `json:"tags"`
}

func itemOf(original jsontext.Value) (asset.Item, error) {
	var c item
	if err := json.Unmarshal(original, &c); err != nil {
		return asset.Item{}, err
	}
	if c.Type == "" || c.ID == "" {
		return asset.Item{}, errors.New("there is no resourceType or no resourceId")
	}
	captured, err := timeOf(c.Captured)
	if err != nil {
		return asset.Item{}, err
	}
	return asset.Item{
		ARN: c.ARN1 + c.ARN2, Type: c.Type, ID: c.ID, Name: c.Name, Account: c.Account1 + c.Account2, Region: c.Region, Captured: captured,
		Deleted: strings.HasPrefix(c.Status, "ResourceDeleted"), Tags: c.TagValues, Original: original.Clone(),
	}, nil
}

// timeOf reads seconds since 1970 with a fraction, or RFC 3339.
func timeOf(v jsontext.Value) (time.Time, error) {
	var text string
	var seconds float64
	switch v.Kind() {
	case '"':
		if err := json.Unmarshal(v, &text); err != nil {
			return time.Time{}, err
		}
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return time.Time{}, errors.New("configurationItemCaptureTime " + strconv.Quote(text) + " is not RFC 3339")
		}
		return t.UTC(), nil
	case '0':
		if err := json.Unmarshal(v, &seconds); err != nil || math.Abs(seconds) > 1e11 {
			return time.Time{}, errors.New("configurationItemCaptureTime is not a time in seconds since 1970")
		}
		return time.UnixMicro(int64(math.Round(seconds * 1e6))).UTC(), nil
	}
	return time.Time{}, errors.New("there is no configurationItemCaptureTime")
}

// StateID orders items of one resource that were captured at the same time: it
// grows. It is 0 where the item has none.
func StateID(original jsontext.Value) int64 {
	var c item
	if json.Unmarshal(original, &c) != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.Trim(string(c.State), `"`), 10, 64)
	return n
}
