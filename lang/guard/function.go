package guard

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/word/diag"
)

// functions are the built-in functions and how many arguments they take.
var functions = map[string]int{
	"count": 1, "join": 2, "json_parse": 1, "now": 0, "parse_boolean": 1, "parse_char": 1, "parse_epoch": 1, "parse_float": 1,
	"parse_int": 1, "parse_string": 1, "regex_replace": 3, "substring": 3, "to_lower": 1, "to_upper": 1, "url_decode": 1,
}

// checkCall refuses a function that there is not, or the wrong number of arguments.
func checkCall(c *call) *diag.Error {
	want, ok := functions[c.name]
	if !ok {
		return diag.Errorf(c.place, "there is no function %s", c.name).WithHint("%s", diag.DidYouMean(c.name, sortedKeys(functions)))
	}
	if len(c.args) != want {
		return diag.Errorf(c.place, "%s takes %d arguments, not %d", c.name, want, len(c.args))
	}
	return nil
}

// function evaluates a call. What is missing among the first argument's values is
// passed over, and so are values of a kind that the function is not about.
func (e *evaluation) function(s *scope, c *call) ([]result, error) {
	args := make([][]result, len(c.args))
	for i := range c.args {
		var err error
		if args[i], err = e.operand(s, &c.args[i]); err != nil {
			return nil, err
		}
	}
	if why := dependsOn(c.name, args); why != "" {
		return []result{{value: computed(&Value{kind: kindUnknown, unknown: &Unknown{Why: why, Present: true}}, placed(args))}}, nil
	}
	switch c.name {
	case "now":
		return []result{{value: &Value{kind: kindInt, number: e.now.Unix()}}}, nil
	case "count":
		return count(args[0]), nil
	case "join":
		return join(args[0], args[1])
	}
	convert, err := converter(c.name, args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	var out []result
	for _, r := range found(args[0]) {
		if err := e.step(); err != nil {
			return nil, err
		}
		if why := r.value.why(); why != "" {
			out = append(out, result{value: computed(&Value{kind: kindUnknown, unknown: &Unknown{Why: why, Present: true}}, r.value), perhaps: r.perhaps})
			continue
		}
		v, err := convert(r.value)
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %w", c.name, r.value.show(60), err)
		}
		if v != nil {
			out = append(out, result{value: computed(v, r.value), perhaps: r.perhaps})
		}
	}
	return out, nil
}

// dependsOn is why the result of a function as a whole is unknown, or "".
func dependsOn(name string, args [][]result) string {
	for i, arg := range args {
		for _, r := range arg {
			switch {
			case r.value == nil:
			case name == "count" && r.perhaps != "":
				return r.perhaps
			case name == "count" && r.value.kind == kindUnknown && !r.value.unknown.Present:
				return r.value.unknown.Why
			case name == "join" || i > 0:
				if why := r.value.why(); why != "" {
					return why
				}
			}
		}
	}
	return ""
}

func placed(args [][]result) *Value {
	for _, arg := range args {
		for _, r := range arg {
			if r.value != nil {
				return r.value
			}
		}
	}
	return nil
}

func count(values []result) []result {
	v := &Value{kind: kindInt, number: int64(len(found(values)))}
	if len(values) > 0 && values[0].value != nil {
		v = computed(v, values[0].value.parent)
	}
	return []result{{value: v}}
}

func join(values, by []result) ([]result, error) {
	sep, err := text(by)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	var parts []string
	for _, r := range values {
		switch {
		case r.missing != nil:
			return nil, fmt.Errorf("join: there is no %s", r.missing.text())
		case r.value.kind == kindList:
			for _, x := range r.value.items {
				if !x.textual() {
					return nil, fmt.Errorf("join: %s is %v", x.path(), x.kind)
				}
				parts = append(parts, x.asText())
			}
		case !r.value.textual():
			return nil, fmt.Errorf("join: %s is %v", r.value.path(), r.value.kind)
		default:
			parts = append(parts, r.value.asText())
		}
	}
	v := newString(strings.Join(parts, sep))
	if len(values) > 0 {
		v = computed(v, values[0].value)
	}
	return []result{{value: v}}, nil
}

// text is the one text that an argument must be.
func text(values []result) (string, error) {
	if len(values) != 1 || values[0].missing != nil || !values[0].value.textual() {
		return "", fmt.Errorf("an argument must be one string")
	}
	return values[0].value.asText(), nil
}

// whole is the one number that an argument must be.
func whole(values []result) (int, error) {
	if len(values) != 1 || values[0].missing != nil || !values[0].value.numeric() {
		return 0, fmt.Errorf("an argument must be one number")
	}
	return int(values[0].value.asFloat()), nil
}

// converter is what a function does to each value; nil, nil passes one over.
func converter(name string, args [][]result) (func(*Value) (*Value, error), error) {
	switch name {
	case "to_lower":
		return onText(func(s string) (*Value, error) { return newString(strings.ToLower(s)), nil }), nil
	case "to_upper":
		return onText(func(s string) (*Value, error) { return newString(strings.ToUpper(s)), nil }), nil
	case "url_decode":
		return onText(decodeURL), nil
	case "json_parse":
		return onText(parseJSON), nil
	case "parse_epoch":
		return onText(parseEpoch), nil
	case "substring":
		return substring(args)
	case "regex_replace":
		return regexReplace(args)
	case "parse_int":
		return parseInt, nil
	case "parse_float":
		return parseFloat, nil
	case "parse_boolean":
		return parseBoolean, nil
	case "parse_string":
		return parseString, nil
	}
	return parseChar, nil
}

func onText(convert func(string) (*Value, error)) func(*Value) (*Value, error) {
	return func(v *Value) (*Value, error) {
		if v.kind != kindString {
			return nil, nil
		}
		return convert(v.text)
	}
}

func decodeURL(s string) (*Value, error) {
	decoded, err := url.PathUnescape(s)
	if err != nil {
		return nil, err
	}
	return newString(decoded), nil
}

func parseJSON(s string) (*Value, error) {
	v, err := load("json_parse", []byte(s))
	if err != nil {
		return nil, err
	}
	return v, nil
}

func parseEpoch(s string) (*Value, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return nil, fmt.Errorf("not a time like 2006-01-02T15:04:05Z")
	}
	return &Value{kind: kindInt, number: t.Unix()}, nil
}

func substring(args [][]result) (func(*Value) (*Value, error), error) {
	from, err := whole(args[1])
	if err != nil {
		return nil, err
	}
	to, err := whole(args[2])
	if err != nil {
		return nil, err
	}
	return onText(func(s string) (*Value, error) {
		if s == "" || from < 0 || from >= to || to > len(s) || !utf8.ValidString(s[from:to]) {
			return nil, nil
		}
		return newString(s[from:to]), nil
	}), nil
}

func regexReplace(args [][]result) (func(*Value) (*Value, error), error) {
	pattern, err := text(args[1])
	if err != nil {
		return nil, err
	}
	by, err := text(args[2])
	if err != nil {
		return nil, err
	}
	m, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	return onText(func(s string) (*Value, error) {
		var b []byte // of the matches alone, as the reference has it: what lies between them is left out
		for _, match := range m.FindAllStringSubmatchIndex(s, -1) {
			b = m.ExpandString(b, by, s, match)
		}
		return newString(string(b)), nil
	}), nil
}

func parseInt(v *Value) (*Value, error) {
	switch v.kind {
	case kindInt:
		return &Value{kind: kindInt, number: v.number}, nil
	case kindFloat:
		return &Value{kind: kindInt, number: int64(v.float())}, nil
	case kindString, kindChar:
		n, err := strconv.ParseInt(v.asText(), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("not an integer")
		}
		return &Value{kind: kindInt, number: n}, nil
	}
	return nil, nil
}

func parseFloat(v *Value) (*Value, error) {
	switch v.kind {
	case kindInt, kindFloat:
		return NewFloat(v.asFloat()), nil
	case kindString, kindChar:
		f, err := strconv.ParseFloat(v.asText(), 64)
		if err != nil {
			return nil, fmt.Errorf("not a number")
		}
		return NewFloat(f), nil
	}
	return nil, nil
}

func parseBoolean(v *Value) (*Value, error) {
	switch {
	case v.kind == kindBool:
		return &Value{kind: kindBool, truth: v.truth}, nil
	case v.kind != kindString:
		return nil, nil
	case strings.EqualFold(v.text, "true"), strings.EqualFold(v.text, "false"):
		return &Value{kind: kindBool, truth: strings.EqualFold(v.text, "true")}, nil
	}
	return nil, fmt.Errorf("neither true nor false")
}

func parseString(v *Value) (*Value, error) {
	switch v.kind {
	case kindString, kindChar:
		return newString(v.asText()), nil
	case kindInt:
		return newString(strconv.FormatInt(v.number, 10)), nil
	case kindFloat:
		return newString(strconv.FormatFloat(v.float(), 'g', -1, 64)), nil
	case kindBool:
		return newString(strconv.FormatBool(v.truth)), nil
	}
	return nil, nil
}

func parseChar(v *Value) (*Value, error) {
	s := ""
	switch v.kind {
	case kindInt:
		s = strconv.FormatInt(v.number, 10)
	case kindString, kindChar:
		s = v.asText()
	default:
		return nil, nil
	}
	r, size := utf8.DecodeRuneInString(s)
	if size == 0 || size != len(s) {
		return nil, fmt.Errorf("not one character")
	}
	return &Value{kind: kindChar, number: int64(r)}, nil
}
