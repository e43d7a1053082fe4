module jobstream.example/words

go 1.22
