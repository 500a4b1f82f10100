package inflate_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/inflate"
)

// samples are texts of different kinds.
func samples() [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	noise, few, words := make([]byte, 100_000), make([]byte, 70_000), strings.Builder{}
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	for i := range few {
		few[i] = "aaaaaaab"[r.IntN(8)] + byte(r.IntN(2)*r.IntN(2)*r.IntN(2)*r.IntN(60))
	}
	for words.Len() < 300_000 {
		words.WriteString([]string{"func ", "return ", "err\n", "x", "0123456789", "\t", "if err != nil {\n"}[r.IntN(7)])
	}
	return [][]byte{nil, []byte("a"), []byte("hello"), bytes.Repeat([]byte("ab"), 40_000), bytes.Repeat([]byte{0}, 100_000), noise, few, []byte(words.String()), []byte(words.String()[:300])}
}

func packed(t testing.TB, text []byte, level int) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What was packed, at whatever level, comes out again, and what follows it is not touched.
func TestInto(t *testing.T) {
	var d inflate.Decoder
	for i, text := range samples() {
		for level := flate.HuffmanOnly; level <= 9; level++ {
			stream := packed(t, text, level)
			out := make([]byte, len(text))
			n, err := d.Into(out, append(bytes.Clone(stream), "what follows, and is no part of it"...))
			if err != nil || n != len(stream) || !bytes.Equal(out, text) {
				t.Errorf("sample %d at level %d: %d bytes of %d, %v", i, level, n, len(stream), err)
			}
			if n, err := d.Into(out, stream); err != nil || n != len(stream) || !bytes.Equal(out, text) {
				t.Errorf("sample %d at level %d alone: %d bytes of %d, %v", i, level, n, len(stream), err)
			}
		}
	}
}

// A stream that ends early, or is longer or shorter than it should be, is an error.
func TestWrong(t *testing.T) {
	var d inflate.Decoder
	for i, text := range samples() {
		for _, level := range []int{0, 6} {
			stream := packed(t, text, level)
			for n := 0; n < len(stream); n += 1 + n/50 {
				if _, err := d.Into(make([]byte, len(text)), stream[:n]); !errors.Is(err, inflate.ErrShort) {
					t.Errorf("sample %d at level %d, %d bytes of %d: %v", i, level, n, len(stream), err)
				}
			}
			if _, err := d.Into(make([]byte, len(text)+1), stream); !errors.Is(err, inflate.ErrBroken) {
				t.Errorf("sample %d, a byte more: %v", i, err)
			}
			if len(text) > 0 {
				if _, err := d.Into(make([]byte, len(text)-1), stream); !errors.Is(err, inflate.ErrBroken) {
					t.Errorf("sample %d, a byte less: %v", i, err)
				}
			}
		}
	}
}

// FuzzInto: what the standard library unpacks, this unpacks to the same; and what it refuses, this refuses.
func FuzzInto(f *testing.F) {
	for _, text := range samples() {
		for _, level := range []int{flate.HuffmanOnly, 0, 1, 9} {
			if stream := packed(f, text[:min(len(text), 2000)], level); len(stream) < 4000 {
				f.Add(stream)
			}
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		in := bytes.NewReader(stream)
		want, err := io.ReadAll(io.LimitReader(flate.NewReader(in), 1<<20))
		if len(want) == 1<<20 {
			return
		}
		var d inflate.Decoder
		got := make([]byte, len(want))
		n, mine := d.Into(got, stream)
		if (mine == nil) != (err == nil) {
			t.Fatalf("%v, and the standard library says %v", mine, err)
		}
		if err == nil && (!bytes.Equal(got, want) || n != len(stream)-in.Len()) {
			t.Fatalf("%d bytes of %d: %q, want %q", n, len(stream)-in.Len(), got, want)
		}
	})
}

func BenchmarkInto(b *testing.B) {
	text := samples()[7]
	stream := packed(b, text, 6)
	out := make([]byte, len(text))
	b.Run("haechi", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		var d inflate.Decoder
		for b.Loop() {
			if _, err := d.Into(out, stream); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("standard", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		r := flate.NewReader(bytes.NewReader(stream))
		for b.Loop() {
			if err := r.(flate.Resetter).Reset(bytes.NewReader(stream), nil); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(r, out); err != nil {
				b.Fatal(err)
			}
		}
	})
}
