// Package event is what happened, in EventBridge's envelope.
package event

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Event is something that happened, as EventBridge shows it:
// https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
// Its JSON is that envelope. The bus is not part of it; "" is the default bus.
type Event struct {
	Version    string         `json:"version"` // always "0"
	ID         string         `json:"id"`      // unique; a repeated delivery bears the same
	Type       string         `json:"detail-type"`
	Source     string         `json:"source"`
	Account    string         `json:"account"` // 12 digits
	Time       time.Time      `json:"time"`    // RFC 3339, whole seconds
	Region     string         `json:"region"`
	Resources  []string       `json:"resources"`
	ReplayName string         `json:"replay-name,omitzero"`
	Detail     jsontext.Value `json:"detail"`
	Bus        string         `json:"-"`
}
