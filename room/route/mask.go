package route

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// secretish is what could be a token, if it has a digit in it.
var secretish = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[A-Za-z0-9_+/=-]{20,}`) })

// mask is an error's words as they may be kept and shown: without the target's
// secrets, without addresses (they often are secrets), and not long.
func mask(err error, live *liveReceiver) string {
	text := err.Error()
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.Answer != "" {
		text += ": " + refusal.Answer
	}
	var call *url.Error
	if errors.As(err, &call) {
		text = strings.ReplaceAll(text, call.URL, "the target")
	}
	if live != nil {
		for _, secret := range live.secrets {
			text = strings.ReplaceAll(text, secret, "[sealed]")
		}
	}
	text = secretish().ReplaceAllStringFunc(text, func(s string) string {
		if !strings.ContainsAny(s, "0123456789") {
			return s
		}
		return s[:4] + "…"
	})
	return excerpt(text)
}

// excerpt is the beginning of a text, in one line.
func excerpt(text string) string {
	const longest = 500
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}
