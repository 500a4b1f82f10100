package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/keeper/shelf"
	"github.com/haechi-dev/haechi/word/fault"
)

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

// maxBody bounds the bodies that are no files.
const maxBody = 2 << 20

// wrong is an answer in S3's own words.
type wrong struct {
	status     int
	code, text string
}

// Error is the text.
func (w *wrong) Error() string { return w.text }

func no(status int, code, format string, a ...any) error {
	return &wrong{status, code, fmt.Sprintf(format, a...)}
}

// refusal says why a signature or a body is not accepted.
func refusal(err error) error {
	switch sigv4.ReasonOf(err) {
	case sigv4.Mismatch:
		return no(http.StatusForbidden, "SignatureDoesNotMatch", "the signature is not that of this request and this key: %v", err)
	case sigv4.Expired, sigv4.Early:
		return no(http.StatusForbidden, "RequestTimeTooSkewed", "%v", err)
	case sigv4.BodyChanged:
		return no(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "%v", err)
	case sigv4.Unsigned:
		return no(http.StatusForbidden, "AccessDenied", "%v", err)
	case sigv4.Unsupported:
		return no(http.StatusNotImplemented, "NotImplemented", "%v", err)
	case 0:
		return err
	}
	return no(http.StatusBadRequest, "AuthorizationHeaderMalformed", "%v", err)
}

type errorBody struct {
	XMLName  xml.Name `xml:"Error"`
	Code     string
	Message  string
	Resource string `xml:",omitempty"`
	Request  string `xml:"RequestId"`
	Host     string `xml:"HostId"`
}

// words are an error as S3 says it.
func (c *call) words(err error) *wrong {
	var w *wrong
	var parts *shelf.Wrong
	var r *sigv4.Refusal
	switch {
	case errors.As(err, &w):
		return w
	case errors.As(err, &r) && errors.As(refusal(err), &w):
		return w
	case errors.As(err, &parts):
		return &wrong{http.StatusBadRequest, parts.Code, parts.Text}
	case errors.Is(err, shelf.ErrNoKey):
		return &wrong{http.StatusNotFound, "NoSuchKey", "The specified key does not exist."}
	case errors.Is(err, shelf.ErrNoUpload):
		return &wrong{http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist: it was ended, or given up."}
	case errors.Is(err, shelf.ErrChanged):
		return &wrong{http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the conditions does not hold."}
	}
	switch fault.Of(err) {
	case fault.NotFound:
		return &wrong{http.StatusNotFound, "NoSuchBucket", err.Error()}
	case fault.Denied:
		return &wrong{http.StatusForbidden, "AccessDenied", err.Error()}
	case fault.Exists:
		return &wrong{http.StatusConflict, "BucketAlreadyOwnedByYou", err.Error()}
	case fault.Conflict:
		return &wrong{http.StatusConflict, "OperationAborted", err.Error()}
	case fault.Invalid:
		return &wrong{http.StatusBadRequest, "InvalidArgument", err.Error()}
	case fault.Limit:
		return &wrong{http.StatusBadRequest, "EntityTooLarge", err.Error()}
	case fault.Unsupported:
		return &wrong{http.StatusNotImplemented, "NotImplemented", err.Error()}
	case fault.Unavailable:
		return &wrong{http.StatusServiceUnavailable, "SlowDown", err.Error()}
	}
	if c.ctx.Err() != nil || errors.Is(err, io.ErrUnexpectedEOF) {
		return &wrong{http.StatusBadRequest, "IncompleteBody", "the body did not come to its end"}
	}
	c.Log.Error("a call was not answered", "path", c.r.URL.Path, "request", c.id, "err", err)
	return &wrong{http.StatusInternalServerError, "InternalError", "something went wrong here; the server's log says what"}
}

func (c *call) refuse(err error) {
	w := c.words(err)
	c.w.Header().Set("X-Amzn-Errortype", w.code)
	if w.code == "SlowDown" {
		c.w.Header().Set("Retry-After", "1")
	}
	body := errorBody{Code: w.code, Message: strings.ToValidUTF8(w.text, "\uFFFD"), Resource: c.r.URL.EscapedPath(), Request: c.id, Host: "haechi"}
	if err := c.send(w.status, body); err != nil {
		c.Log.Error("an error was not answered", "err", err)
	}
}

// say answers with a body.
func (c *call) say(body any) error { return c.send(http.StatusOK, body) }

func (c *call) send(status int, body any) error {
	text, err := xml.Marshal(body)
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/xml")
	c.began = true
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(append([]byte(xml.Header), text...)) // whoever hung up does not hear it
	}
	return nil
}

// done answers without a body.
func (c *call) done(status int) error {
	c.began = true
	c.w.WriteHeader(status)
	return nil
}

// read reads a body that is XML. Elements that are not known are passed over.
func (c *call) read(into any) error {
	text, err := io.ReadAll(io.LimitReader(c.body, maxBody+1))
	if err != nil {
		return err
	}
	if len(text) > maxBody {
		return no(http.StatusBadRequest, "MaxMessageLengthExceeded", "the body is larger than %d bytes", maxBody)
	}
	return readXML(text, into)
}

// readXML reads a small document: no more than eight levels, and no document type.
func readXML(text []byte, into any) error {
	malformed := no(http.StatusBadRequest, "MalformedXML", "the body is not the XML that this operation reads")
	d := xml.NewDecoder(strings.NewReader(string(text)))
	for depth := 0; ; {
		t, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return malformed
		}
		switch t.(type) {
		case xml.StartElement:
			if depth++; depth > 8 {
				return malformed
			}
		case xml.EndElement:
			depth--
		case xml.Directive:
			return malformed
		}
	}
	if xml.Unmarshal(text, into) != nil {
		return malformed
	}
	return nil
}

// stamp is a time as S3's XML has it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// encoder is how names stand in a list: as they are, or encoded for a URL.
func (c *call) encoder() (func(string) string, string, error) {
	switch kind := c.query.Get("encoding-type"); kind {
	case "":
		return func(s string) string { return s }, "", nil
	case "url":
		return func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "%2F", "/") }, kind, nil
	default:
		return nil, "", no(http.StatusBadRequest, "InvalidArgument", "encoding-type is url")
	}
}
