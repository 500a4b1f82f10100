package intake

import (
	"encoding/base64"
	"maps"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/word/fault"
)

// https://docs.aws.amazon.com/firehose/latest/dev/httpdeliveryrequestresponse.html
type delivery struct {
	RequestID string `json:"requestId"`
	Timestamp int64  `json:"timestamp"`
	Records   []struct {
		Data string `json:"data"`
	} `json:"records"`
}

const (
	maxDelivered  = 10_000
	maxData       = 1_365_336 // characters of base64: 1,024,000 bytes
	maxAttributes = 50
)

// firehose takes one delivery of a stream.
func (d *door) firehose(r *http.Request, s sender) (reply, error) {
	if s.request == "" {
		return reply{}, fault.Invalid.Errorf("%s is required, with at most %d characters", headerRequest, maxRequestID)
	}
	fields, err := attributes(r.Header)
	if err != nil {
		return reply{}, err
	}
	text, err := body(r)
	if err != nil {
		return reply{}, err
	}
	datas, err := readDelivery(text, s.request)
	if err != nil {
		return reply{}, err
	}
	u := unpacker{now: d.Now(), fields: fields, room: maxBody}
	for _, data := range datas {
		if err := u.add(data); err != nil {
			return reply{}, err
		}
	}
	return reply{RequestID: s.request}, d.keep(r.Context(), s, u.records)
}

// readDelivery is the data of a delivery's records.
func readDelivery(text []byte, request string) ([][]byte, error) {
	var it delivery
	if err := json.Unmarshal(text, &it); err != nil {
		return nil, fault.Invalid.Errorf("the body is no delivery: %w", err)
	}
	switch {
	case it.RequestID != request:
		return nil, fault.Invalid.Errorf("requestId in the body is not the one in %s", headerRequest)
	case len(it.Records) == 0:
		return nil, fault.Invalid.Errorf("there are no records in the body")
	case len(it.Records) > maxDelivered:
		return nil, fault.Limit.Errorf("there are %d records in the body, of %d at most", len(it.Records), maxDelivered)
	}
	datas := make([][]byte, len(it.Records))
	for i, r := range it.Records {
		if len(r.Data) > maxData {
			return nil, fault.Limit.Errorf("record %d: its data is longer than %d characters", i, maxData)
		}
		data, err := base64.StdEncoding.DecodeString(r.Data)
		if err != nil {
			return nil, fault.Invalid.Errorf("record %d: its data is not base64: %w", i, err)
		}
		datas[i] = data
	}
	return datas, nil
}

// attributes are what the stream says of all its records.
func attributes(h http.Header) (map[string]string, error) {
	fields := map[string]string{}
	if text := h.Get("X-Amz-Firehose-Common-Attributes"); text != "" {
		var common struct {
			Attributes map[string]string `json:"commonAttributes"`
		}
		if err := json.Unmarshal([]byte(text), &common); err != nil {
			return nil, fault.Invalid.Errorf("X-Amz-Firehose-Common-Attributes: %w", err)
		}
		if len(common.Attributes) > maxAttributes {
			return nil, fault.Limit.Errorf("more than %d common attributes", maxAttributes)
		}
		maps.Copy(fields, common.Attributes)
	}
	if stream := h.Get("X-Amz-Firehose-Source-Arn"); stream != "" {
		fields["stream"] = stream
	}
	return fields, nil
}
