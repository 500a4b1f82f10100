package route

import (
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// DefaultBus is the bus that is always there.
const DefaultBus = "default"

// arn is the address of something of ours in EventBridge's form.
func (r *Router) arn(resource string) string {
	return "arn:aws:events:" + r.config.Region + ":" + r.config.Account + ":" + resource
}

// ReceiverARN is the address of a configured target, for PutTargets: a kind and a name.
func (r *Router) ReceiverARN(kind, name string) string {
	return "arn:aws:haechi:" + r.config.Region + ":" + r.config.Account + ":target/" + kind + "/" + name
}

// BusARN is the address of a bus.
func (r *Router) BusARN(bus string) string { return r.arn("event-bus/" + busName(bus)) }

// ConnectionARN is what permissions call a connection; its own ARN has an id at the end.
func (r *Router) ConnectionARN(name string) string { return r.arn("connection/" + name) }

// DestinationARN is what permissions call an API destination; its own ARN has an id at the end.
func (r *Router) DestinationARN(name string) string { return r.arn("api-destination/" + name) }

// RuleARN is the address of a rule: rule/NAME on the default bus, rule/BUS/NAME on another.
func (r *Router) RuleARN(bus, name string) string {
	if bus = busName(bus); bus != DefaultBus {
		name = bus + "/" + name
	}
	return r.arn("rule/" + name)
}

// busName is the bus that a name or an ARN means; "" is the default one.
func busName(text string) string {
	if _, name, ok := strings.Cut(text, ":event-bus/"); ok && strings.HasPrefix(text, "arn:") {
		return name
	}
	if text == "" {
		return DefaultBus
	}
	return text
}

// resource is the last part of an ARN: what follows arn:partition:service:region:account:.
func resource(arn string) (service, rest string, ok bool) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return "", "", false
	}
	return parts[2], parts[5], true
}

// ruleOf is the bus and name that a rule's ARN means.
func ruleOf(arn string) (bus, name string, err error) {
	service, rest, ok := resource(arn)
	rest, isRule := strings.CutPrefix(rest, "rule/")
	if !ok || service != "events" || !isRule {
		return "", "", fault.Invalid.Errorf("%q is not the ARN of a rule", arn)
	}
	if i := strings.LastIndexByte(rest, '/'); i >= 0 {
		return rest[:i], rest[i+1:], nil
	}
	return DefaultBus, rest, nil
}

// validName tells whether text is a name of at most most characters of letters, digits and extra.
func validName(text string, most int, extra string) bool {
	if text == "" || len(text) > most {
		return false
	}
	for _, c := range []byte(text) {
		letter := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && !strings.ContainsRune(extra, rune(c)) {
			return false
		}
	}
	return true
}

func checkName(what, text string, most int) error {
	if !validName(text, most, ".-_") {
		return fault.Invalid.Errorf("%s %q: a name is 1 to %d letters, digits, dots, dashes and underscores", what, text, most)
	}
	return nil
}
