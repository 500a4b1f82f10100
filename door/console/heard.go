package console

import (
	"cmp"
	"context"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/keeper/audit"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// Trail keeps a record of everything that is done here: a change's before
// whoever made it hears of it.
type Trail interface {
	Keep(ctx context.Context, e audit.Entry) error
}

// kindCodes are what CloudTrail calls the kinds of errors.
var kindCodes = map[fault.Kind]string{
	fault.Invalid: "ValidationException", fault.NotFound: "ResourceNotFoundException", fault.Exists: "ResourceAlreadyExistsException", fault.Conflict: "ConflictException",
	fault.Unauthenticated: "InvalidClientTokenId", fault.Denied: "AccessDenied", fault.Limit: "LimitExceededException", fault.Unavailable: "ServiceUnavailableException", fault.Unsupported: "NotImplemented",
}

// heard keeps a record of what was asked and of what came of it: err, or nil.
// It answers err, or why the record of a change could not be kept.
func (o *Console) heard(q *request, asked []iam.Request, err error) error {
	e := o.entry(q, err)
	for _, a := range asked {
		e.Action = cmp.Or(e.Action, a.Action)
		e.Resources = append(e.Resources, a.Resource)
	}
	e.Read = q.Method == "GET" || q.Method == "HEAD" || audit.ReadOnly(e.Action)
	values := q.URL.Query()
	if q.Method == "POST" {
		values = q.PostForm
	}
	e.Parameters = parameters(q.URL.Path, values)
	return o.keep(q, e, err)
}

// keep keeps e, and answers err, or that the record of what went well was not kept.
func (o *Console) keep(q *request, e audit.Entry, err error) error {
	if o.config.Trail == nil {
		return err
	}
	if failed := o.config.Trail.Keep(q.Context(), e); failed != nil {
		o.config.Log.Error("a record was not kept", "page", q.URL.Path, "error", failed)
		if err == nil {
			return fault.Unavailable.Errorf("%s", q.t("The audit trail cannot be written: try again."))
		}
	}
	return err
}

func (o *Console) entry(q *request, err error) audit.Entry {
	e := audit.Entry{Time: o.config.Now(), Principal: q.principal, SourceIP: o.config.SourceIP(q.Request), UserAgent: q.UserAgent(), Region: o.config.Region}
	if err != nil {
		kind := fault.Of(err)
		e.Code = cmp.Or(kindCodes[kind], "InternalFailure")
		e.Refused = kind == fault.Denied || kind == fault.Unauthenticated
		if kind != fault.Internal {
			e.Reason = err.Error()
		}
	}
	return e
}

// parameters are what a form or an address says, with the page that it is of.
// Tokens in paths are credentials.
func parameters(path string, values url.Values) jsontext.Value {
	if strings.HasPrefix(path, "/link/") {
		path = "/link/"
	}
	said := map[string]any{"page": path}
	for name, all := range values {
		if len(all) == 1 {
			said[name] = all[0]
		} else {
			said[name] = all
		}
	}
	text, err := json.Marshal(said, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil
	}
	return text
}

// signed keeps a record of a sign-in as CloudTrail writes one of the AWS
// console: the name of a user that does not exist may be a password that was
// typed in its place, and is hidden.
func (o *Console) signed(q *request, user string, mfa bool, err error) error {
	e := o.entry(q, err)
	e.SignIn, e.Code, e.Answer = true, "", jsontext.Value(`{"ConsoleLogin":"Success"}`)
	e.More = map[string]string{"LoginTo": "/", "MobileVersion": "No", "MFAUsed": "No"}
	if mfa {
		e.More["MFAUsed"] = "Yes"
	}
	if err != nil {
		e.Answer, e.Refused, e.Reason = jsontext.Value(`{"ConsoleLogin":"Failure"}`), true, "Failed authentication"
	}
	if user != "" {
		e.Principal = iam.Principal{Name: audit.Hidden}
		if o.config.Known != nil {
			if who, err := o.config.Known(q.Context(), user); err == nil {
				e.Principal = who
			}
		}
	}
	return o.keep(q, e, err)
}
