package iam

import "strings"

// An arn is a pattern of ARNs: six parts that are matched one by one, so that
// a * never spans a colon but in the last.
type arn struct {
	text  string
	parts []glob
	all   bool // only stars: matches what is no ARN too
	bare  bool // its last part is a variable and nothing else: see granted
	at    int  // in the policy's text
}

const arnParts = 6

func compileARN(text string, variables bool) arn {
	a := arn{text: text, all: strings.Trim(text, "*") == "" && text != ""}
	split := splitARN(text, variables)
	a.parts = make([]glob, len(split))
	for i, part := range split {
		a.parts[i] = compileGlob(part, variables)
	}
	if last := len(split) - 1; last == arnParts-1 && variables && strings.HasPrefix(split[last], "${") {
		name, rest, _ := strings.Cut(split[last], "}")
		a.bare = rest == "" && strings.Contains(name, ":")
	}
	return a
}

// splitARN splits at the first five colons that stand in no variable.
func splitARN(text string, variables bool) []string {
	parts := make([]string, 0, arnParts)
	from := 0
	inside := false
	for i := 0; i < len(text) && len(parts) < arnParts-1; i++ {
		switch {
		case variables && strings.HasPrefix(text[i:], "${"):
			inside = true
		case inside && text[i] == '}':
			inside = false
		case !inside && text[i] == ':':
			parts = append(parts, text[from:i])
			from = i + 1
		}
	}
	return append(parts, text[from:])
}

// A name is an ARN that is asked about, split once for all patterns.
type name struct {
	text  string
	parts [arnParts]string
	whole bool // it has six parts
}

func nameOf(text string) (n name) {
	n.text = text
	rest := text
	for i := range arnParts - 1 {
		part, after, ok := strings.Cut(rest, ":")
		if !ok {
			return n
		}
		n.parts[i], rest = part, after
	}
	n.parts[arnParts-1] = rest
	n.whole = true
	return n
}

// matchResource tells whether the pattern covers a resource. A pattern with
// fewer parts is filled up with stars; * as a resource is covered by * alone.
func (a *arn) matchResource(n *name, context map[string][]string) bool {
	return a.all || n.text != "*" && a.match(n, context) == yes
}

// granted is matchResource for a statement that allows. Where the name of the
// resource is a variable and nothing else, as in arn:aws:sqs:*:*:${aws:username}, AWS's
// documentation and what was recorded of a simulator disagree: it takes the
// colon of the variable for one of the ARN, and the statement for one about
// nothing. So does this; a statement that denies covers what the documentation says.
func (a *arn) granted(n *name, context map[string][]string) bool {
	return !a.bare && a.matchResource(n, context)
}

// match holds an ARN against the pattern, part by part, the last one first:
// there most ARNs differ.
func (a *arn) match(n *name, context map[string][]string) answer {
	if !n.whole {
		return unclear
	}
	result := yes
	for i := len(a.parts) - 1; i >= 0; i-- {
		switch a.parts[i].match(n.parts[i], context) {
		case no:
			return no
		case unclear:
			result = unclear
		}
	}
	return result
}
