// Package asset is a thing that a service is made of, as it was at one time.
package asset

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/diag"
)

// What the event that tells of a change is called (EventBridge's detail-type and
// source). Its detail is AWS Config's ConfigurationItemChangeNotification.
const (
	Source  = "aws.config"
	Changed = "Config Configuration Item Change"
)

// Item is the state of one asset at one time: a live resource, or a resource
// that a template would make.
type Item struct {
	ARN           string                `json:"arn"`
	Type          string                `json:"type"` // CloudFormation's: AWS::S3::Bucket; where AWS has none, ours: Haechi::…
	ID            string                `json:"id"`
	Name          string                `json:"name,omitzero"`
	Account       string                `json:"account"`
	Region        string                `json:"region"`
	Captured      time.Time             `json:"captured"`
	Deleted       bool                  `json:"deleted,omitzero"` // gone as of Captured
	Tags          map[string]string     `json:"tags,omitzero"`
	Configuration jsontext.Value        `json:"configuration,omitzero"` // in CloudFormation's property shape where AWS has one
	Original      jsontext.Value        `json:"original,omitzero"`      // as it came
	Place         diag.Place            `json:"place,omitzero"`         // where a template says it
	Places        map[string]diag.Place `json:"places,omitzero"`        // where it says each property, by JSON pointers into Configuration
}
