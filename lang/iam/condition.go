package iam

import (
	"bytes"
	"encoding/base64"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/diag"
)

// An answer is what one value of a policy says to one of a request. Unclear is
// a value that cannot be read as what the operator compares; it satisfies no
// operator, not even a negated one.
type answer int

const (
	no answer = iota
	yes
	unclear
)

// A value is one value of a policy, compiled for its operator.
type value func(request string, context map[string][]string) answer

// A family is how a group of operators reads and compares values.
type family struct {
	of        string // what it compares, for error texts
	variables bool
	compile   func(text string, variables bool) (value, bool)
}

// An operator is StringEquals, ForAnyValue:StringNotLikeIfExists and so on.
type operator struct {
	family   *family
	negated  bool
	ifExists bool
	set      string // "", ForAllValues or ForAnyValue
	null     bool
}

type condition struct {
	operator operator
	name     string // the operator as written
	key      string // lower case
	spelled  string // the key as written
	texts    []string
	values   []value
	unknown  bool // the operator is none we know; see statement.meets
	at       int  // in the policy's text
}

// plain are the operators without set prefix and IfExists. A name with Not is
// the negation of the one without.
func plain(name string) (*family, bool) {
	switch name {
	case "StringEquals", "StringNotEquals":
		return &family{"a text", true, equals(false)}, name == "StringNotEquals"
	case "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase":
		return &family{"a text", true, equals(true)}, name == "StringNotEqualsIgnoreCase"
	case "StringLike", "StringNotLike":
		return &family{"a text", true, like}, name == "StringNotLike"
	case "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike":
		return &family{"an ARN", true, arnLike}, strings.HasPrefix(name, "ArnNot")
	case "Bool", "Null": // Bool takes variables too, which AWS does and its documentation does not say
		return &family{"true or false", name == "Bool", boolean}, false
	case "BinaryEquals":
		return &family{"base64", false, binary}, false
	case "IpAddress", "NotIpAddress":
		return &family{"an address", false, address}, name == "NotIpAddress"
	}
	if rest, ok := strings.CutPrefix(name, "Numeric"); ok {
		if is, negated := comparison(rest); is != nil {
			return &family{"a number", false, compared(is, number)}, negated
		}
	}
	if rest, ok := strings.CutPrefix(name, "Date"); ok {
		if is, negated := comparison(rest); is != nil {
			return &family{"a date", false, compared(is, date)}, negated
		}
	}
	return nil, false
}

func comparison(name string) (is func(a, b float64) bool, negated bool) {
	switch name {
	case "Equals", "NotEquals":
		return func(a, b float64) bool { return a == b }, name == "NotEquals"
	case "LessThan":
		return func(a, b float64) bool { return a < b }, false
	case "LessThanEquals":
		return func(a, b float64) bool { return a <= b }, false
	case "GreaterThan":
		return func(a, b float64) bool { return a > b }, false
	case "GreaterThanEquals":
		return func(a, b float64) bool { return a >= b }, false
	}
	return nil, false
}

// parseOperator reads an operator's name, or answers a hint.
func parseOperator(text string) (*operator, string) {
	var o operator
	name := text
	if set, rest, ok := strings.Cut(text, ":"); ok {
		if set != "ForAllValues" && set != "ForAnyValue" {
			return nil, "only ForAllValues: and ForAnyValue: go before an operator"
		}
		o.set, name = set, rest
	}
	name, o.ifExists = strings.CutSuffix(name, "IfExists")
	o.family, o.negated = plain(name)
	o.null = name == "Null"
	if o.family == nil {
		return nil, diag.DidYouMean(name, operatorNames())
	}
	if o.null && o.ifExists {
		return nil, "Null asks already whether the key exists"
	}
	return &o, ""
}

func operatorNames() []string {
	names := []string{"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike",
		"ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike", "Bool", "Null", "BinaryEquals", "IpAddress", "NotIpAddress"}
	for _, kind := range []string{"Numeric", "Date"} {
		for _, c := range []string{"Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"} {
			names = append(names, kind+c)
		}
	}
	return names
}

// holds tells whether a request with that context meets the condition.
func (c *condition) holds(context map[string][]string) bool {
	got := lookup(context, c.key)
	o := &c.operator
	switch {
	case o.null:
		return c.one(strconv.FormatBool(len(got) == 0), context)
	case o.set == "ForAllValues":
		for _, v := range got {
			if !c.one(v, context) {
				return false
			}
		}
		return true
	case len(got) == 0:
		return o.ifExists || o.negated && o.set == ""
	case o.set == "ForAnyValue":
		for _, v := range got {
			if c.one(v, context) {
				return true
			}
		}
		return false
	case len(got) > 1:
		return false // several values need a set operator, negated or not
	}
	return c.one(got[0], context)
}

// one holds one value of the request against all of the policy: one of them
// must match, or, negated, none, and none be unclear.
func (c *condition) one(request string, context map[string][]string) bool {
	for _, v := range c.values {
		switch a := v(request, context); {
		case c.operator.negated && a != no:
			return false
		case !c.operator.negated && a == yes:
			return true
		}
	}
	return c.operator.negated
}

// lookup finds a key, whose lower-case form is given, in a context.
func lookup(context map[string][]string, key string) []string {
	if values, ok := context[key]; ok {
		return values
	}
	for k, values := range context {
		if len(k) == len(key) && strings.EqualFold(k, key) {
			return values
		}
	}
	return nil
}

func is(b bool) answer {
	if b {
		return yes
	}
	return no
}

// literal is a text in which * and ? mean themselves: a glob without wildcards.
func literal(text string, variables bool) glob {
	if !variables || !strings.Contains(text, "${") {
		return glob{shape: exact, text: text}
	}
	g := compileGlob(text, true)
	if g.shape != searched {
		return glob{shape: exact, text: text}
	}
	for i, piece := range g.pieces {
		switch piece {
		case star:
			g.pieces[i] = '*'
		case question:
			g.pieces[i] = '?'
		}
	}
	return g
}

func equals(fold bool) func(string, bool) (value, bool) {
	return func(text string, variables bool) (value, bool) {
		g := literal(text, variables)
		switch {
		case fold && g.shape == exact:
			return func(request string, _ map[string][]string) answer { return is(strings.EqualFold(text, request)) }, true
		case fold:
			return func(request string, context map[string][]string) answer {
				var space [room]rune
				want, ok := g.fill(space[:0], context)
				if !ok {
					return unclear
				}
				return is(strings.EqualFold(string(want), request))
			}, true
		}
		return func(request string, context map[string][]string) answer { return g.match(request, context) }, true
	}
}

func like(text string, variables bool) (value, bool) {
	g := compileGlob(text, variables)
	return func(request string, context map[string][]string) answer { return g.match(request, context) }, true
}

func arnLike(text string, variables bool) (value, bool) {
	a := compileARN(text, variables)
	if len(a.parts) != arnParts {
		return nil, false
	}
	return func(request string, context map[string][]string) answer {
		n := nameOf(request)
		return a.match(&n, context)
	}, true
}

func boolean(text string, variables bool) (value, bool) {
	want, ok := truth(text)
	if variables && strings.HasPrefix(text, "${") {
		return func(request string, context map[string][]string) answer {
			filled, _ := parseVariable(strings.TrimSuffix(text[2:], "}")).value(context)
			want, known := truth(filled)
			got, ok := truth(request)
			if !ok || !known {
				return unclear
			}
			return is(got == want)
		}, true
	}
	return func(request string, _ map[string][]string) answer {
		got, clear := truth(request)
		if !clear || !ok {
			return unclear
		}
		return is(got == want)
	}, ok
}

func truth(text string) (is, ok bool) {
	switch {
	case strings.EqualFold(text, "true"):
		return true, true
	case strings.EqualFold(text, "false"):
		return false, true
	}
	return false, false
}

func binary(text string, _ bool) (value, bool) {
	want, err := base64.StdEncoding.DecodeString(text)
	return func(request string, _ map[string][]string) answer {
		if err == nil && request == text {
			return yes
		}
		got, bad := base64.StdEncoding.DecodeString(request)
		if bad != nil || err != nil {
			return unclear
		}
		return is(bytes.Equal(got, want))
	}, err == nil
}

func address(text string, _ bool) (value, bool) {
	want, err := netip.ParsePrefix(text)
	if err != nil {
		single, err := netip.ParseAddr(text)
		if err != nil || single.Zone() != "" {
			return nil, false
		}
		want = netip.PrefixFrom(single, single.BitLen())
	}
	return func(request string, _ map[string][]string) answer {
		got, err := netip.ParseAddr(request)
		if err != nil {
			return unclear
		}
		return is(want.Contains(got.Unmap().WithZone("")))
	}, true
}

func compared(is func(a, b float64) bool, parse func(string) (float64, bool)) func(string, bool) (value, bool) {
	return func(text string, _ bool) (value, bool) {
		want, ok := parse(text)
		return func(request string, _ map[string][]string) answer {
			got, ok := parse(request)
			switch {
			case !ok:
				return unclear
			case is(got, want):
				return yes
			}
			return no
		}, ok
	}
}

func number(text string) (float64, bool) {
	if text == "" || strings.Trim(text, "0123456789+-.eE") != "" {
		return 0, false // ParseFloat would take 0x10, inf and 1_000 too
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil && !math.IsInf(f, 0)
}

// date reads ISO 8601, or seconds since 1970. Which it is its shape tells: to
// try one after the other would cost an error each time.
func date(text string) (float64, bool) {
	if len(text) < len("2006-01-02") || text[4] != '-' {
		return number(text)
	}
	layout := time.RFC3339
	switch rest := text[len("2006-01-02"):]; {
	case rest == "":
		layout = time.DateOnly
	case len(rest) == len("T15:04:05"):
		layout = "2006-01-02T15:04:05"
	case len(rest) > len("T15:04") && rest[len("T15:04")] != ':':
		layout = "2006-01-02T15:04Z07:00"
	}
	at, err := time.Parse(layout, text)
	return float64(at.UnixMicro()) / 1e6, err == nil
}
