.PHONY: demo test lint docs

demo test lint docs:
	@./run $@
