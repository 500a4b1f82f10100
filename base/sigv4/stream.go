package sigv4

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bodies of s3 are as large as files, and are signed in five ways: by their
// hash, not at all, or in chunks that are signed one by one or not, with or
// without headers behind them.
const (
	streaming         = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingTrailer  = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamingUnsigned = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

	maxLine     = 4096 // of a chunk's first line, and of a trailer
	maxTrailers = 16
)

// Service is the service that a request says it is signed for, or "". Nothing
// of it is proven.
func Service(r *http.Request) string {
	credential := ""
	if _, rest, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		credential, _, _ = strings.Cut(rest, ",")
	} else if strings.Contains(r.URL.RawQuery, "X-Amz-Credential=") {
		credential = r.URL.Query().Get("X-Amz-Credential")
	}
	if scope := strings.Split(strings.TrimSpace(credential), "/"); len(scope) == 5 {
		return scope[3]
	}
	return ""
}

// A Body is a body that is verified while it is read: at its end, or before
// that, reading it fails where it is not the one that was signed.
type Body struct {
	Size    int64       // bytes that will be read, or -1 where nobody has said it
	Trailer http.Header // what came behind the body, once it was read to its end

	read func([]byte) (int, error)
}

// Read reads what was sent, without the signs of chunks.
func (b *Body) Read(p []byte) (int, error) { return b.read(p) }

// Stream verifies the claim over all of r but its body, and answers the body,
// which is verified while it is read.
func (v *Verifier) Stream(r *http.Request, c *Claim, secret string, now time.Time) (*Body, error) {
	if err := c.Timely(now); err != nil {
		return nil, err
	}
	said := r.Header[contentHash]
	payload := ""
	switch {
	case len(said) > 1:
		return nil, Malformed.because("%s is there twice", contentHash)
	case len(said) == 1:
		payload = said[0]
	case c.Presigned:
		payload = UnsignedPayload
	default:
		return nil, Malformed.because("%s is missing", contentHash)
	}
	b := &Body{Size: r.ContentLength, Trailer: http.Header{}}
	in := io.Reader(http.NoBody)
	if r.Body != nil {
		in = r.Body
	}
	sum, _ := hex.DecodeString(payload)
	switch {
	case payload == UnsignedPayload:
		b.read = in.Read
	case len(sum) == sha256.Size && payload == strings.ToLower(payload):
		b.read = (&hashed{in: in, hash: sha256.New(), want: sum}).Read
	case payload == streaming, payload == streamingTrailer, payload == streamingUnsigned:
		size, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
		if err != nil || size < 0 {
			return nil, Malformed.because("X-Amz-Decoded-Content-Length must say how long the body is")
		}
		b.Size = size
		k := &chunked{in: bufio.NewReaderSize(in, maxLine), body: b, left: size, claim: c, last: c.signature, trailing: payload != streaming}
		if payload != streamingUnsigned {
			k.key, k.hash = signingKey(secret, c.Date, c.Region, c.Service), sha256.New()
		}
		b.read = k.Read
	default:
		return nil, Unsupported.because("%s is not read here", clip(payload))
	}
	return b, v.verifyHead(r, c, secret, payload)
}

// verifyHead verifies what was signed of a request with what stands for its body.
func (v *Verifier) verifyHead(r *http.Request, c *Claim, secret, payload string) error {
	key := signingKey(secret, c.Date, c.Region, c.Service)
	s := styleOf(c.Service)
	if matches(r, c, s, key, payload, false) || c.Presigned && c.Token != "" && matches(r, c, s, key, payload, true) {
		return nil
	}
	return &Refusal{Reason: Mismatch}
}

// hashed is a body whose hash was signed.
type hashed struct {
	in   io.Reader
	hash hash.Hash
	want []byte
}

// Read reads on, and compares at the end.
func (h *hashed) Read(p []byte) (int, error) {
	n, err := h.in.Read(p)
	h.hash.Write(p[:n])
	if err == io.EOF && subtle.ConstantTimeCompare(h.hash.Sum(nil), h.want) != 1 {
		err = &Refusal{Reason: BodyChanged}
	}
	return n, err
}

// chunked is a body in chunks, as aws-chunked has it: the size of each in
// hexadecimal, its signature where there are any, its bytes; at the end a chunk
// of no bytes, and trailers.
type chunked struct {
	in       *bufio.Reader
	body     *Body
	left     int64 // of the whole body
	chunk    int64 // of this chunk
	open     bool  // within a chunk
	claim    *Claim
	key      []byte   // nil: chunks are not signed
	last     [32]byte // signature of what came before
	sign     [32]byte // signature that this chunk says it has
	hash     hash.Hash
	trailing bool
	err      error
}

// Read reads on within a chunk, or begins the next one.
func (k *chunked) Read(p []byte) (int, error) {
	if k.err != nil {
		return 0, k.err
	}
	n, err := k.next(p)
	k.err = err
	return n, err
}

func (k *chunked) next(p []byte) (int, error) {
	if !k.open {
		if err := k.begin(); err != nil {
			return 0, err
		}
		if k.chunk == 0 {
			return 0, k.end()
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := k.in.Read(p[:min(int64(len(p)), k.chunk)])
	if k.hash != nil {
		k.hash.Write(p[:n])
	}
	k.chunk -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err == nil && k.chunk == 0 {
		err = k.close()
	}
	return n, err
}

// line is one line without its end.
func (k *chunked) line() (string, error) {
	text, err := k.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		return "", Malformed.because("a line among the chunks is too long")
	}
	if err != nil {
		return "", BodyChanged.because("it ends in the middle of a chunk")
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

func (k *chunked) begin() error {
	text, err := k.line()
	if err != nil {
		return err
	}
	size, signature, signed := strings.Cut(text, ";")
	n, err := strconv.ParseUint(size, 16, 62)
	if err != nil || len(size) > 16 {
		return Malformed.because("%q is no size of a chunk", clip(size))
	}
	if k.chunk = int64(n); k.chunk > k.left {
		return BodyChanged.because("it is longer than X-Amz-Decoded-Content-Length says")
	}
	k.left -= k.chunk
	k.open = true
	if k.key == nil {
		return nil
	}
	signature, ok := strings.CutPrefix(signature, "chunk-signature=")
	if n, err := hex.Decode(k.sign[:], []byte(clipTo(signature, 64))); !signed || !ok || err != nil || n != 32 || len(signature) != 64 {
		return Malformed.because("a chunk has no signature")
	}
	k.hash.Reset()
	if k.chunk == 0 {
		return k.verify("AWS4-HMAC-SHA256-PAYLOAD", Hash(nil)+"\n"+Hash(nil))
	}
	return nil
}

// close reads what stands behind the bytes of a chunk.
func (k *chunked) close() error {
	if text, err := k.line(); err != nil || text != "" {
		return Malformed.because("a chunk is longer than it says")
	}
	k.open = false
	if k.key == nil {
		return nil
	}
	return k.verify("AWS4-HMAC-SHA256-PAYLOAD", Hash(nil)+"\n"+hex.EncodeToString(k.hash.Sum(nil)))
}

// verify compares the signature of a chunk, which signs the one before it, too.
func (k *chunked) verify(kind, sum string) error {
	c := k.claim
	text := kind + "\n" + c.Time.Format(basic) + "\n" + c.scope() + "\n" + hex.EncodeToString(k.last[:]) + "\n" + sum
	if subtle.ConstantTimeCompare(mac(k.key, []byte(text)), k.sign[:]) != 1 {
		return &Refusal{Mismatch, "of a chunk"}
	}
	k.last = k.sign
	return nil
}

// end reads the trailers. What comes behind them nobody reads.
func (k *chunked) end() error {
	if k.left != 0 {
		return BodyChanged.because("it is shorter than X-Amz-Decoded-Content-Length says")
	}
	var signed strings.Builder
	proven := k.key == nil || !k.trailing
	for range maxTrailers {
		text, err := k.line()
		switch {
		case err != nil && !k.trailing && k.in.Buffered() == 0: // some end without an empty line
			return io.EOF
		case err != nil:
			return err
		case text == "" && proven:
			return io.EOF
		case text == "":
			if signed.Len() == 0 && len(k.body.Trailer) == 0 { // as some set one line apart
				continue
			}
			return Malformed.because("the trailers are not signed")
		case !k.trailing:
			return Malformed.because("there is more behind the last chunk")
		}
		name, value, ok := strings.Cut(text, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if !ok || name == "" {
			return Malformed.because("%q is no trailer", clip(text))
		}
		if name == "x-amz-trailer-signature" && k.key != nil {
			if n, err := hex.Decode(k.sign[:], []byte(clipTo(value, 64))); err != nil || n != 32 || len(value) != 64 {
				return Malformed.because("the signature of the trailers must be 64 digits of lower-case hexadecimal")
			}
			if err := k.verify("AWS4-HMAC-SHA256-TRAILER", Hash([]byte(signed.String()))); err != nil {
				return err
			}
			proven = true
			continue
		}
		if proven && k.key != nil {
			return Malformed.because("a trailer behind their signature")
		}
		signed.WriteString(name + ":" + value + "\n")
		k.body.Trailer.Add(name, value)
	}
	return Malformed.because("more than %d trailers", maxTrailers)
}
