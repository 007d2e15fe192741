"""The lifelong measures written out naively from their formulas, one loop each, counted from 1 as the papers do."""


def openloris(matrix):
    count = len(matrix)
    lower_with_diagonal, lower, upper, every = [], [], [], []
    for i in range(1, count + 1):
        for j in range(1, count + 1):
            value = matrix[i - 1][j - 1]
            every.append(value)
            if i > j:
                lower.append(value)
            if i >= j:
                lower_with_diagonal.append(value)
            if i < j:
                upper.append(value)
    return {
        "accuracy_openloris": sum(lower_with_diagonal) / (count * (count + 1) / 2),
        "backward_openloris": sum(lower) / (count * (count - 1) / 2),
        "forward_openloris": sum(upper) / (count * (count - 1) / 2),
        "overall": sum(every) / count**2,
    }


def gem(matrix, untrained):
    count = len(matrix)
    accuracy = backward = forward = forgetting = 0.0
    for j in range(1, count + 1):
        accuracy += matrix[count - 1][j - 1]
        if j < count:
            backward += matrix[count - 1][j - 1] - matrix[j - 1][j - 1]
            best = -1.0
            for row in range(1, count):
                best = max(best, matrix[row - 1][j - 1])
            forgetting += best - matrix[count - 1][j - 1]
        if j > 1:
            forward += matrix[j - 2][j - 1] - untrained[j - 1]
    return {
        "accuracy_gem": accuracy / count,
        "backward_gem": backward / (count - 1),
        "forward_gem": forward / (count - 1),
        "forgetting": forgetting / (count - 1),
        "backward_gem_code": backward / count,
        "forward_gem_code": forward / count,
    }


def further(matrix):
    count = len(matrix)
    diaz = learning = incremental = 0.0
    for i in range(1, count + 1):
        learning += matrix[i - 1][i - 1]
        incremental += sum(matrix[i - 1][:i]) / i
        for j in range(1, i):
            diaz += matrix[i - 1][j - 1] - matrix[j - 1][j - 1]
    return {
        "backward_diaz": diaz / (count * (count - 1) / 2),
        "learning": learning / count,
        "average_incremental": incremental / count,
    }
