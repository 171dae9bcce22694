// Writes the rows with encoding/json: one file each in the folder named by the argument. It refuses NaN and infinities, so
// that programs use pointers, or a type of their own.
package main

import (
	"database/sql"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// timed is a row of times.py.
type timed[T any] struct {
	T T   `json:"t"`
	X int `json:"x"`
	Y int `json:"y"`
}

// times writes the times of times.py, as they are and as numbers.
func times(folder string) {
	lists := map[string]func(time.Time) any{
		"go_time":     func(t time.Time) any { return t },
		"go_unixnano": func(t time.Time) any { return t.UnixNano() },
		"go_unix_s":   func(t time.Time) any { return t.Unix() },
	}
	for name, of := range lists {
		file, err := os.Create(filepath.Join(folder, name+".jsonl"))
		if err != nil {
			panic(err)
		}
		defer file.Close()
		for k := 0; k < 40; k++ {
			row := timed[any]{of(time.UnixMilli(1774747800000 + 7500*int64(k)).UTC()), k % 7, k%7 + 1}
			if err := json.NewEncoder(file).Encode(row); err != nil {
				panic(err)
			}
		}
	}
}

type pointers struct {
	I *float64 `json:"i"`
	M *float64 `json:"m"`
	N *float64 `json:"n"`
	X *float64 `json:"x"`
	Y *float64 `json:"y"`
}

type omitted struct {
	I *float64 `json:"i,omitempty"`
	M *float64 `json:"m,omitempty"`
	N *float64 `json:"n,omitempty"`
	X *float64 `json:"x,omitempty"`
	Y *float64 `json:"y,omitempty"`
}

// nullable has a column as database/sql reads it: an object of two members.
type nullable struct {
	pointers
	X sql.NullFloat64 `json:"x"`
}

// text writes what encoding/json refuses as a text, as strconv spells it.
type text float64

func (t text) MarshalJSON() ([]byte, error) {
	return json.Marshal(strconv.FormatFloat(float64(t), 'g', -1, 64))
}

func known(value float64) *float64 {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return nil
	}
	return &value
}

func main() {
	times(filepath.Join(os.Args[1], "times"))
	files := map[string]*json.Encoder{}
	for _, name := range []string{"go", "go_omitempty", "go_text", "go_sql_null"} {
		file, err := os.Create(filepath.Join(os.Args[1], name+".jsonl"))
		if err != nil {
			panic(err)
		}
		defer file.Close()
		files[name] = json.NewEncoder(file)
	}
	write := func(name string, row any) {
		if err := files[name].Encode(row); err != nil {
			panic(err)
		}
	}
	for k := 0; k < 300; k++ {
		i, m, n := float64(k%11), float64(k%13), float64(k%7)
		x := float64(k%50) / 8
		y := float64(k%5) + float64(k%50)/8
		if k%5 == 2 {
			i = math.Inf(2*(k%2) - 1)
		}
		if k%4 == 3 {
			m = math.NaN()
		}
		if k%3 == 1 {
			n = math.NaN()
		}
		write("go", pointers{known(i), known(m), known(n), known(x), known(y)})
		write("go_sql_null", nullable{pointers{I: known(i), M: known(m), N: known(n), Y: known(y)}, sql.NullFloat64{Float64: x, Valid: true}})
		write("go_omitempty", omitted{known(i), known(m), known(n), known(x), known(y)})
		write("go_text", map[string]text{"i": text(i), "m": text(m), "n": text(n), "x": text(x), "y": text(y)})
	}
}
