package wire

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/word/fault"
)

// An Error is an answer in the service's own words. The status is the model's.
type Error struct {
	Code    string
	Message string

	status int
	query  string // the code in the query protocol, where it is another
}

// Errorf is an error that the service's model knows under that code.
func Errorf(code, format string, a ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, a...)}
}

// Error is code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// What the protocols themselves answer, before a service is asked. A status of
// 403 is 400 where the protocol is json.
func missing() *Error {
	return &Error{Code: "MissingAuthenticationTokenException", Message: "Request is missing Authentication Token", status: 403, query: "MissingAuthenticationToken"}
}

func unknownKey() *Error {
	return &Error{Code: "UnrecognizedClientException", Message: "The security token included in the request is invalid.", status: 403, query: "InvalidClientTokenId"}
}

func expiredToken() *Error {
	return &Error{Code: "ExpiredTokenException", Message: "The security token included in the request is expired", status: 403, query: "ExpiredToken"}
}

func denied(message string) *Error {
	return &Error{Code: "AccessDeniedException", Message: message, status: 403, query: "AccessDenied"}
}

func unknownOperation(p Protocol, what string) *Error {
	status := http.StatusBadRequest
	if p == RestJSON {
		status = http.StatusNotFound
	}
	return &Error{Code: "UnknownOperationException", Message: what, status: status, query: "InvalidAction"}
}

func notImplemented(format string, a ...any) *Error {
	return &Error{Code: "NotImplemented", Message: fmt.Sprintf(format, a...), status: http.StatusNotImplemented}
}

func unreadable(message string) *Error {
	return &Error{Code: "SerializationException", Message: message, status: http.StatusBadRequest, query: "MalformedInput"}
}

func tooLarge(message string) *Error {
	return &Error{Code: "RequestEntityTooLargeException", Message: message, status: http.StatusRequestEntityTooLarge, query: "RequestEntityTooLarge"}
}

// refused says in the protocols' words why a signature was refused.
func refused(err error) *Error {
	bad := func(message string) *Error {
		return &Error{Code: "InvalidSignatureException", Message: message, status: 403, query: "SignatureDoesNotMatch"}
	}
	switch sigv4.ReasonOf(err) {
	case sigv4.Missing:
		return missing()
	case sigv4.Mismatch:
		return bad("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.")
	case sigv4.Expired, sigv4.Early:
		return bad("S" + err.Error()[1:])
	case sigv4.TooLarge:
		return tooLarge(err.Error())
	case sigv4.Malformed, sigv4.Unsupported:
		return &Error{Code: "IncompleteSignatureException", Message: err.Error(), status: 403, query: "IncompleteSignature"}
	}
	return bad(err.Error())
}

// kinds are the codes and statuses of our kinds of error where the service says nothing.
func kindOf(k fault.Kind) *Error {
	switch k {
	case fault.Invalid:
		return &Error{Code: "ValidationException", status: 400, query: "ValidationError"}
	case fault.NotFound:
		return &Error{Code: "ResourceNotFoundException", status: 404, query: "NoSuchEntity"}
	case fault.Exists:
		return &Error{Code: "ResourceAlreadyExistsException", status: 409, query: "EntityAlreadyExists"}
	case fault.Conflict:
		return &Error{Code: "ConflictException", status: 409, query: "ConcurrentModification"}
	case fault.Unauthenticated:
		return unknownKey()
	case fault.Denied:
		return denied("")
	case fault.Limit:
		return &Error{Code: "LimitExceededException", status: 400, query: "LimitExceeded"}
	case fault.Unavailable:
		return &Error{Code: "ServiceUnavailableException", status: 503, query: "ServiceUnavailable"}
	case fault.Unsupported:
		return &Error{Code: "NotImplemented", status: 501}
	}
	return &Error{Code: "InternalFailure", status: 500}
}

// translate says err as the service does. What is ours to mend is not told to
// the caller: its text may hold what is none of theirs.
func (s *Service) translate(operation string, err error) *Error {
	var said *Error
	if errors.As(err, &said) {
		e := *said
		if e.status == 0 {
			e.status = s.status(e.Code, http.StatusBadRequest)
		}
		return &e
	}
	kind := fault.Of(err)
	e := kindOf(kind)
	if code := s.code(operation, kind); code != "" {
		e.status, e.query = s.status(code, e.status), ""
		e.Code = code
	}
	if e.Message == "" || kind != fault.Unauthenticated {
		e.Message = err.Error()
	}
	if kind == fault.Internal {
		e.Message = "internal failure; the server's log tells more under this request id"
	}
	return e
}

// code is the one of the service's codes for a kind that the operation knows.
func (s *Service) code(operation string, kind fault.Kind) string {
	codes := s.Faults[kind]
	if len(codes) == 0 {
		return ""
	}
	if o := s.Model.Operations[operation]; o != nil {
		for _, c := range codes {
			if slices.Contains(o.Errors, c) {
				return c
			}
		}
	}
	return codes[0]
}

// memberCode is the code of an operation for one member that is missing, or not as it should be, or "".
func (s *Service) memberCode(operation, at string, missing bool) string {
	o := s.Model.Operations[operation]
	name := at[strings.LastIndexByte(at, '.')+1:]
	if name, _, _ = strings.Cut(name, "["); !s.ByMember || o == nil || name == "" {
		return ""
	}
	name = strings.ToUpper(name[:1]) + name[1:]
	codes := []string{"Invalid" + name + "Exception", name + "SizeLimitExceededException"}
	if missing {
		codes = []string{name + "RequiredException", codes[0]}
	}
	for _, code := range codes {
		if slices.Contains(o.Errors, code) {
			return code
		}
	}
	if i := slices.IndexFunc(o.Errors, func(code string) bool { return strings.HasSuffix(code, codes[0]) }); missing && i >= 0 {
		return o.Errors[i] // a comment's content is a CommentContent there
	}
	if i := strings.IndexFunc(name[1:], unicode.IsUpper); i >= 0 {
		return s.memberCode(operation, name[1+i:], missing) // a filePath is a Path there
	}
	return ""
}

// status is the model's for that code.
func (s *Service) status(code string, otherwise int) int {
	shape := s.Model.errorShape(code)
	switch {
	case shape == nil:
		return otherwise
	case shape.Status != 0:
		return shape.Status
	case shape.Fault:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest // the json protocol gives no other
}
