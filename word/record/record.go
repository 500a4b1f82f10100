// Package record is one line of a log, as it came.
package record

import "time"

// Record is one log record. Text is what was received, masked, without its line
// end; where it is JSON it stays JSON.
type Record struct {
	Time   time.Time         `json:"time"`            // when it happened, as the record says, else when it came in
	Source string            `json:"source"`          // what kind of log: "aws.cloudtrail", "aws.vpcflow", "nginx.access" …
	Text   string            `json:"text"`            // UTF-8
	Fields map[string]string `json:"fields,omitzero"` // what the way in knows besides: host, file, delivery stream …
}
